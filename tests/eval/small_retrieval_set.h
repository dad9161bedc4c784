#pragma once

#include <string>
#include <vector>

#include "e5v/eval/retrieval_set.h"
#include "tests/eval/eval_support.h"

namespace e5v::detail {

/// Three pictures with two captions each.
inline RetrievalSet small_set() {
  RetrievalSet set;
  for (int i = 0; i < 3; ++i) {
    set.images.push_back({.id = fmt::format("image{}", i),
                          .path = fmt::format("/nowhere/image{}", i),
                          .drawn_text = {}});
    for (int c = 0; c < 2; ++c) {
      set.captions.push_back(fmt::format("caption{}{}", i, c));
      set.image_of_caption.push_back(i);
    }
  }
  return set;
}

/// Captions point to their picture, but for the second one of picture 2, which points to picture 0.
inline std::vector<float> mostly_right(const std::string& key) {
  if (key.ends_with("caption21")) return one_hot(0, 3);
  const size_t digit = key.find_first_of("0123456789");
  return one_hot(static_cast<size_t>(key[digit] - '0'), 3);
}

}  // namespace e5v::detail
