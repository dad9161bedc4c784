#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>

#include "e5v/base/random.h"

namespace e5v {

/// 128 bits that tell contents apart; not meant against forgery.
struct ContentHash {
  uint64_t high = 0, low = 0;
  bool operator==(const ContentHash&) const = default;
};

/// Hashes a sequence of parts; where one ends and the next begins counts.
class ContentHasher {
 public:
  ContentHasher& add(std::string_view part) {
    add_word(part.size());
    size_t at = 0;
    for (; at + 8 <= part.size(); at += 8) add_word(word(part.data() + at, 8));
    if (at < part.size()) add_word(word(part.data() + at, part.size() - at));
    return *this;
  }
  ContentHasher& add(ContentHash hash) {
    add_word(hash.high);
    add_word(hash.low);
    return *this;
  }
  ContentHash hash() const { return {mix64(high_ ^ low_), mix64(low_ + 1)}; }

 private:
  static uint64_t word(const char* bytes, size_t count) {
    uint64_t value = 0;
    std::memcpy(&value, bytes, count);
    return value;
  }
  void add_word(uint64_t value) {
    high_ = mix64(high_ ^ value);
    low_ = mix64(low_ + value * UINT64_C(0x9e3779b97f4a7c15));
  }

  uint64_t high_ = 1, low_ = 2;
};

}  // namespace e5v

template <>
struct std::hash<e5v::ContentHash> {
  size_t operator()(const e5v::ContentHash& hash) const noexcept { return hash.low; }
};
