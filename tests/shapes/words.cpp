#include "tests/shapes/words.h"

#include <algorithm>

namespace e5v::detail {

std::vector<std::string> bag_of_words(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == ' ') {
      words.emplace_back();
    } else if (c < 'a' || c > 'z') {
      words.emplace_back(1, c);
    } else {
      words.back() += c;
    }
  }
  std::sort(words.begin(), words.end());
  return words;
}

}  // namespace e5v::detail
