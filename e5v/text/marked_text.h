#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/text/regex.h"  // TextRange

namespace e5v::detail {

/// Text on its way to tokens that remembers, byte by byte, whether control tokens may match there.
/// A mark is 0 where they may not, and otherwise the number of the span, so that a match cannot
/// reach from one span into the next.
struct MarkedText {
  std::string text;
  /// One mark a byte; empty where all bytes have `mark`.
  std::vector<uint32_t> marks;
  uint32_t mark = 0;
  /// The first byte stems from the first byte of the whole input.
  bool at_start = true;

  /// The one mark of [begin, end); 0 where marks differ.
  uint32_t common_mark(size_t begin, size_t end) const;
  /// [range.begin, range.end) with its marks.
  MarkedText slice(TextRange range) const;
};

/// Builds the rewritten form of a MarkedText from left to right.
class MarkedTextWriter {
 public:
  explicit MarkedTextWriter(const MarkedText& source) : source_(source) {
    result_.text.reserve(source.text.size());
    result_.marks.reserve(source.marks.size());
    result_.mark = source.mark;
    result_.at_start = source.at_start;
  }

  /// Appends the source's bytes [begin, end) unchanged.
  void copy(size_t begin, size_t end);
  /// Appends `replacement` in place of the source's bytes [begin, end).
  void replace(size_t begin, size_t end, std::string_view replacement);
  MarkedText finish() { return std::move(result_); }

 private:
  const MarkedText& source_;
  MarkedText result_;
};

}  // namespace e5v::detail
