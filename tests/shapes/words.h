#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace e5v::detail {

/// The words and punctuation marks of a text, sorted: all that a bag of words knows.
std::vector<std::string> bag_of_words(std::string_view text);

}  // namespace e5v::detail
