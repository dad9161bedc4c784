#include "e5v/text/vocabulary.h"

#include <bit>
#include <functional>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

uint32_t hash_of(std::string_view token) {
  const size_t hash = std::hash<std::string_view>{}(token);
  return static_cast<uint32_t>(hash ^ (hash >> 32));
}

}  // namespace

Vocabulary::Vocabulary(size_t num_tokens) {
  by_id_.reserve(num_tokens);
  grow(std::bit_ceil(2 * num_tokens + 16));
}

void Vocabulary::grow(size_t num_slots) {
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(num_slots, Slot{});
  for (const Slot& slot : old) {
    if (slot.id == kNoId) continue;
    size_t at = slot.hash & (num_slots - 1);
    while (slots_[at].id != kNoId) at = (at + 1) & (num_slots - 1);
    slots_[at] = slot;
  }
}

bool Vocabulary::add(std::string_view token, uint32_t id) {
  if (id > kMaxId || contains(id)) return false;
  E5V_ASSERT(bytes_.size() + token.size() <= UINT32_MAX);
  if (2 * (num_tokens_ + 1) > slots_.size()) grow(2 * slots_.size());
  const uint32_t hash = hash_of(token);
  Slot& slot = slots_[slot_of(token, hash)];
  if (slot.id != kNoId) return false;
  const Place place{static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(token.size())};
  slot = {hash, id, place};
  if (id >= by_id_.size()) by_id_.resize(id + 1);
  by_id_[id] = place;
  bytes_ += token;
  ++num_tokens_;
  return true;
}

/// Where `token` is, or the empty slot where it would be.
size_t Vocabulary::slot_of(std::string_view token, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].id != kNoId && (slots_[at].hash != hash || view(slots_[at].place) != token)) {
    at = (at + 1) & mask;
  }
  return at;
}

std::optional<uint32_t> Vocabulary::find(std::string_view token) const {
  const Slot& slot = slots_[slot_of(token, hash_of(token))];
  return slot.id == kNoId ? std::nullopt : std::optional(slot.id);
}

void Vocabulary::prefetch(std::string_view token) const {
  __builtin_prefetch(&slots_[hash_of(token) & (slots_.size() - 1)]);
}

}  // namespace e5v::detail
