#include "e5v/text/marked_text.h"

#include <algorithm>

namespace e5v::detail {

uint32_t MarkedText::common_mark(size_t begin, size_t end) const {
  if (marks.empty()) return mark;
  if (begin == end) return 0;
  const uint32_t first = marks[begin];
  const bool same = std::all_of(marks.begin() + begin, marks.begin() + end,
                                [&](uint32_t other) { return other == first; });
  return same ? first : 0;
}

MarkedText MarkedText::slice(TextRange range) const {
  MarkedText part;
  part.text = text.substr(range.begin, range.end - range.begin);
  if (!marks.empty()) part.marks.assign(marks.begin() + range.begin, marks.begin() + range.end);
  part.mark = mark;
  part.at_start = at_start && range.begin == 0;
  return part;
}

void MarkedTextWriter::copy(size_t begin, size_t end) {
  result_.text.append(source_.text, begin, end - begin);
  if (!source_.marks.empty()) {
    result_.marks.insert(result_.marks.end(), source_.marks.begin() + begin,
                         source_.marks.begin() + end);
  }
}

void MarkedTextWriter::replace(size_t begin, size_t end, std::string_view replacement) {
  // What was dropped at the very start can no longer be the start of the input.
  if (replacement.empty() && begin == 0 && end > 0) result_.at_start = false;
  result_.text += replacement;
  if (!source_.marks.empty()) {
    // An insertion belongs to the byte that it stands before.
    const size_t marked_end = begin == end ? std::min(begin + 1, source_.marks.size()) : end;
    result_.marks.insert(result_.marks.end(), replacement.size(),
                         source_.common_mark(begin, marked_end));
  }
}

}  // namespace e5v::detail
