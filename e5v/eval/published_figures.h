#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace e5v {

/// What the paper (arXiv 2407.12580, tables 1 to 5) prints for one system on one task, by the names
/// that reports give to metrics.
struct PublishedFigures {
  std::string system;
  std::map<std::string, double> metrics;
};

/// E5-V first; empty for a task that the paper does not have. Tasks: flickr30k, coco,
/// i2i-flickr30k, i2i-coco, cirr (of test1), fashioniq, sts.
std::vector<PublishedFigures> published_figures(std::string_view task);

}  // namespace e5v
