#include "e5v/base/content_hash.h"

#include <fmt/format.h>

#include <cstring>

namespace e5v::detail {

std::string ContentHash::digits() const { return fmt::format("{:016x}{:016x}", high, low); }

ContentHasher& ContentHasher::add(std::string_view part) {
  add(uint64_t{part.size()});
  digest_.update(part);
  return *this;
}

ContentHasher& ContentHasher::add(uint64_t number) {
  digest_.update({reinterpret_cast<const char*>(&number), sizeof number});
  return *this;
}

ContentHasher& ContentHasher::add(ContentHash hash) { return add(hash.high).add(hash.low); }

ContentHash ContentHasher::hash() {
  const std::string bytes = digest_.finish_bytes();
  ContentHash hash;
  std::memcpy(&hash.high, bytes.data(), sizeof hash.high);
  std::memcpy(&hash.low, bytes.data() + sizeof hash.high, sizeof hash.low);
  return hash;
}

}  // namespace e5v::detail
