#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/options.h"
#include "e5v/eval/system.h"
#include "e5v/eval/task_report.h"

namespace e5v::detail {

/// What a paper prints for one system on one protocol, by the names that reports give to metrics.
struct PublishedFigures {
  std::string system;
  std::map<std::string, double> metrics;
};

/// One evaluation by a protocol: options, which the command line fills in, and the loop.
class Evaluation {
 public:
  virtual ~Evaluation() = default;

  /// Declares --data and whatever else this protocol uses, and nothing that it does not use.
  virtual void register_options(OptionRegistry& registry) = 0;
  /// Throws ConfigError.
  virtual void validate() const = 0;
  /// Reads the data first and makes the system then: a wrong folder is found before a model is
  /// loaded. Throws as validate(), the loader and the system do.
  virtual TaskReport run(const MakeSystem& make_system) const = 0;
};

/// An evaluation protocol: its name, its data, its loop and what papers print for it. Each is one
/// file of e5v/eval/protocols/, listed in protocols.cpp; the help, options and reports of `e5v
/// eval` derive from this record.
struct Protocol {
  /// On the command line and in reports: "i2i-coco".
  std::string_view name;
  /// One line of the help: what is measured, on what.
  std::string_view summary;
  /// What --data is to hold, for the help: lines without indentation.
  std::string_view data_layout;
  /// The help's example of --data: "flickr30k/".
  std::string_view example_data;
  /// The metrics' names, with alternatives after slashes: "cirr_recall@1/5/10/50".
  std::string_view metrics;
  std::unique_ptr<Evaluation> (*make_evaluation)() = nullptr;
  /// The E5-V paper's figures (arXiv 2407.12580), its own system first; empty where it has none.
  std::vector<PublishedFigures> published = {};
  /// What is to be known about `published`, one sentence; mostly "".
  std::string_view note_on_published = {};
};

}  // namespace e5v::detail
