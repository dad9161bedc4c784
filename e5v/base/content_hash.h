#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "e5v/base/digest.h"

namespace e5v::detail {

/// The first 128 bits of a SHA-256: names contents on one machine, in caches and in the records of
/// a run.
struct ContentHash {
  uint64_t high = 0, low = 0;
  bool operator==(const ContentHash&) const = default;

  /// 32 lower-case hexadecimal digits.
  std::string digits() const;
};

/// Hashes a sequence of parts; where one ends and the next begins counts.
class ContentHasher {
 public:
  ContentHasher& add(std::string_view part);
  ContentHasher& add(uint64_t number);
  ContentHasher& add(ContentHash hash);
  /// Ends the hasher.
  ContentHash hash();

 private:
  Digest digest_{DigestKind::kSha256, 0};
};

}  // namespace e5v::detail

template <>
struct std::hash<e5v::detail::ContentHash> {
  size_t operator()(const e5v::detail::ContentHash& hash) const noexcept { return hash.low; }
};
