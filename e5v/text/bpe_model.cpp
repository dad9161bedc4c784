#include "e5v/text/bpe_model.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "e5v/base/error.h"
#include "e5v/base/utf8.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kMetaspace = "\u2581";
/// Up to so many symbols the lowest rank is searched for, beyond that a heap keeps it.
constexpr size_t kFewSymbols = 64;

uint64_t pair_of(uint32_t left, uint32_t right) {
  return (static_cast<uint64_t>(left) << 32) | right;
}

}  // namespace

BpeModel::BpeModel(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  merge_slots_.resize(std::bit_ceil(2 * merges.size() + 16));
  for (const Merge& merge : merges) {
    const uint64_t pair = pair_of(merge.left, merge.right);
    merge_slots_[pair_slot(pair)] = {pair, merge.rank, merge.merged};
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char symbol = static_cast<char>(byte);
    byte_ids_[byte] = vocabulary_.find({&symbol, 1}).value_or(kNoId);
    fallback_ids_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte)).value_or(kNoId);
  }
  cut_before_metaspace_ = can_cut_before_metaspace(merges);
}

bool BpeModel::can_cut_before_metaspace(const std::vector<Merge>& merges) const {
  if (options_.byte_level || !options_.continuing_subword_prefix.empty() ||
      !options_.end_of_word_suffix.empty() || !vocabulary_.find(kMetaspace)) {
    return false;
  }
  return std::none_of(merges.begin(), merges.end(), [&](const Merge& merge) {
    return vocabulary_.token(merge.right).starts_with(kMetaspace) &&
           !vocabulary_.token(merge.left).ends_with(kMetaspace);
  });
}

void BpeModel::mark_control(uint32_t id) {
  // A token of one symbol is what ordinary text is made of, even where it is also a control token.
  if (!vocabulary_.contains(id)) return;
  const std::string_view token = vocabulary_.token(id);
  if (token.empty()) return;
  const size_t symbol_size = options_.byte_level ? 1 : next_utf8(token, 0).size;
  if (token.size() == symbol_size) return;
  if (id >= control_.size()) control_.resize(id + 1);
  control_[id] = true;
}

/// Where `pair` is, or the empty slot where it would be.
size_t BpeModel::pair_slot(uint64_t pair) const {
  const size_t mask = merge_slots_.size() - 1;
  size_t at = ((pair * 0x9e3779b97f4a7c15ULL) >> 32) & mask;
  while (merge_slots_[at].pair != pair && merge_slots_[at].pair != kNoPair) at = (at + 1) & mask;
  return at;
}

const BpeModel::MergeSlot* BpeModel::find_merge(uint32_t left, uint32_t right,
                                                bool allow_control) const {
  const MergeSlot& slot = merge_slots_[pair_slot(pair_of(left, right))];
  if (slot.pair == kNoPair || (!allow_control && is_control(slot.merged))) return nullptr;
  return &slot;
}

void BpeModel::encode(std::string_view word, bool allow_control, std::vector<int64_t>& ids) const {
  if (options_.ignore_merges) {
    const auto id = vocabulary_.find(word);
    if (id && (allow_control || !is_control(*id))) {
      ids.push_back(*id);
      return;
    }
  }
  Symbols symbols;
  if (!cut_before_metaspace_) {
    return encode_run(word, true, true, allow_control, symbols, ids);
  }
  for (size_t begin = 0; begin < word.size();) {
    // A run is some ▁ and what follows up to the next ▁.
    size_t end = begin;
    while (word.substr(end).starts_with(kMetaspace)) end += kMetaspace.size();
    end = std::min(word.find(kMetaspace, end), word.size());
    encode_run(word.substr(begin, end - begin), begin == 0, end == word.size(), allow_control,
               symbols, ids);
    begin = end;
  }
}

void BpeModel::encode_run(std::string_view run, bool starts_word, bool ends_word,
                          bool allow_control, Symbols& symbols, std::vector<int64_t>& ids) const {
  symbols.clear();
  append_symbols(run, starts_word, ends_word, symbols);
  if (symbols.size() <= kFewSymbols) {
    merge_few(symbols, allow_control);
  } else {
    merge_many(symbols, allow_control);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

uint32_t BpeModel::symbol_id(std::string_view symbol, bool first, bool last) const {
  const bool prefixed = !first && !options_.continuing_subword_prefix.empty();
  const bool suffixed = last && !options_.end_of_word_suffix.empty();
  if (!prefixed && !suffixed) {
    if (symbol.size() == 1) return byte_ids_[static_cast<uint8_t>(symbol[0])];
    return vocabulary_.find(symbol).value_or(kNoId);
  }
  std::string decorated;
  if (prefixed) decorated += options_.continuing_subword_prefix;
  decorated += symbol;
  if (suffixed) decorated += options_.end_of_word_suffix;
  return vocabulary_.find(decorated).value_or(kNoId);
}

void BpeModel::append_symbols(std::string_view run, bool starts_word, bool ends_word,
                              Symbols& symbols) const {
  bool unk_waits = false;
  for (size_t at = 0; at < run.size();) {
    const size_t size = options_.byte_level ? 1 : next_utf8(run, at).size;
    const std::string_view symbol = run.substr(at, size);
    const uint32_t id =
        symbol_id(symbol, starts_word && at == 0, ends_word && at + size == run.size());
    at += size;
    if (id != kNoId) {
      if (unk_waits) symbols.push_back(*options_.unk_id);
      unk_waits = false;
      symbols.push_back(id);
      continue;
    }
    const auto fallback = [&](char byte) { return fallback_ids_[static_cast<uint8_t>(byte)]; };
    if (options_.byte_fallback && std::all_of(symbol.begin(), symbol.end(),
                                              [&](char byte) { return fallback(byte) != kNoId; })) {
      // A waiting unk comes after these bytes: so it is in the reference.
      for (const char byte : symbol) symbols.push_back(fallback(byte));
      continue;
    }
    if (!options_.unk_id) continue;
    if (unk_waits && !options_.fuse_unk) symbols.push_back(*options_.unk_id);
    unk_waits = true;
  }
  if (unk_waits) symbols.push_back(*options_.unk_id);
}

void BpeModel::merge_few(Symbols& symbols, bool allow_control) const {
  size_t count = symbols.size();
  if (count < 2) return;
  constexpr uint32_t kNoRank = UINT32_MAX;
  std::array<uint32_t, kFewSymbols> ranks;   // of the pair (i, i + 1)
  std::array<uint32_t, kFewSymbols> merged;  // what it becomes
  const auto look_up = [&](size_t i) {
    const MergeSlot* merge = find_merge(symbols[i], symbols[i + 1], allow_control);
    ranks[i] = merge == nullptr ? kNoRank : merge->rank;
    merged[i] = merge == nullptr ? kNoId : merge->merged;
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    const size_t best = std::min_element(ranks.begin(), ranks.begin() + count - 1) - ranks.begin();
    if (merged[best] == kNoId) break;
    symbols[best] = merged[best];
    std::copy(symbols.begin() + best + 2, symbols.begin() + count, symbols.begin() + best + 1);
    std::copy(ranks.begin() + best + 1, ranks.begin() + count - 1, ranks.begin() + best);
    std::copy(merged.begin() + best + 1, merged.begin() + count - 1, merged.begin() + best);
    --count;
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  symbols.resize(count);
}

void BpeModel::merge_many(Symbols& symbols, bool allow_control) const {
  constexpr uint32_t kNone = UINT32_MAX;
  struct Candidate {
    uint32_t rank;
    uint32_t position;
    uint32_t merged;

    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  std::vector<uint32_t> previous(symbols.size());
  std::vector<uint32_t> next(symbols.size());
  std::vector<Candidate> candidates;
  const auto candidate = [&](uint32_t left, uint32_t right) -> std::optional<Candidate> {
    const MergeSlot* merge = find_merge(symbols[left], symbols[right], allow_control);
    if (merge == nullptr) return std::nullopt;
    return Candidate{merge->rank, left, merge->merged};
  };
  for (uint32_t i = 0; i < symbols.size(); ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == symbols.size() ? kNone : i + 1;
    if (next[i] != kNone) {
      if (const auto found = candidate(i, next[i])) candidates.push_back(*found);
    }
  }
  std::priority_queue queue(std::greater<Candidate>{}, std::move(candidates));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const uint32_t left = best.position;
    if (symbols[left] == kNoId || next[left] == kNone) continue;
    const uint32_t right = next[left];
    // The pair may have been swallowed by another merge since it was queued.
    const MergeSlot* merge = find_merge(symbols[left], symbols[right], allow_control);
    if (merge == nullptr || merge->merged != best.merged) continue;
    symbols[left] = best.merged;
    symbols[right] = kNoId;
    next[left] = next[right];
    if (next[left] != kNone) {
      previous[next[left]] = left;
      if (const auto found = candidate(left, next[left])) queue.push(*found);
    }
    if (previous[left] != kNone) {
      if (const auto found = candidate(previous[left], left)) queue.push(*found);
    }
  }
  std::erase(symbols, kNoId);
}

}  // namespace e5v::detail
