#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace e5v::detail {

struct CaptionRow {
  std::string image;  ///< the picture's file name, as it stands there
  std::string caption;
  uint64_t line = 1;  ///< of the file, from 1
};

/// Reads a table of pictures' names and captions as read_text_file takes it: tab-separated, or CSV
/// (RFC 4180, but that a quote within a field that does not begin with one is text) where the name
/// ends in .csv. A first line with names of columns, in upper or lower case, says where they are
/// and what separates them, a tab, comma, semicolon or |. Without one, or with two columns,
/// everything behind the first separator is the caption. Blank lines are left out.
///
/// Throws FileError; FormatError naming the line for broken quoting, a missing caption, and another
/// number of fields than the first line has.
std::vector<CaptionRow> read_caption_table(const std::filesystem::path& file);

}  // namespace e5v::detail
