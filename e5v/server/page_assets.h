#pragma once

#include <span>
#include <string_view>

namespace e5v::detail {

/// A file of the page, built into the program from e5v/server/page/.
struct PageAsset {
  std::string_view path;
  std::string_view content_type;
  std::string_view content;
};

std::span<const PageAsset> page_assets();

}  // namespace e5v::detail
