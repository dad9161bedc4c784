#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace e5v::detail {

/// Tokens and their ids, both ways. Ids need not be contiguous. Thread-safe once filled.
class Vocabulary {
 public:
  /// Ids above this are refused by the readers of vocabularies, so that a hostile file cannot ask
  /// for a table of any size.
  static constexpr uint32_t kMaxId = (1u << 22) - 1;

  /// Room for `num_tokens` tokens.
  explicit Vocabulary(size_t num_tokens = 0);

  /// Adds a token. False, and nothing is changed, if the token or the id is already there, or the
  /// id is above kMaxId.
  bool add(std::string_view token, uint32_t id);

  std::optional<uint32_t> find(std::string_view token) const;
  /// Tells the processor that `token` will be looked for soon.
  void prefetch(std::string_view token) const;
  bool contains(uint32_t id) const { return id < by_id_.size() && by_id_[id].size != kNoId; }
  /// The token of an id that is contained.
  std::string_view token(uint32_t id) const { return view(by_id_[id]); }
  /// One more than the largest id; 0 if empty.
  uint32_t end_id() const { return static_cast<uint32_t>(by_id_.size()); }

 private:
  static constexpr uint32_t kNoId = UINT32_MAX;

  /// Where a token lies in bytes_.
  struct Place {
    uint32_t offset = 0;
    uint32_t size = kNoId;  // kNoId: there is no such token
  };
  struct Slot {
    uint32_t hash = 0;
    uint32_t id = kNoId;
    Place place;  // also in by_id_; here because a look-up is as slow as the cache lines it touches
  };

  void grow(size_t num_slots);
  size_t slot_of(std::string_view token, uint32_t hash) const;
  std::string_view view(Place place) const {
    return std::string_view(bytes_).substr(place.offset, place.size);
  }

  std::string bytes_;
  std::vector<Place> by_id_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  size_t num_tokens_ = 0;
};

}  // namespace e5v::detail
