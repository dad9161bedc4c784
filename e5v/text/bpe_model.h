#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/text/vocabulary.h"

namespace e5v::detail {

/// How a BpeModel treats words, as the `model` of a tokenizer.json has it.
struct BpeOptions {
  /// Symbols are the word's bytes, not its characters. The vocabulary then holds raw bytes.
  bool byte_level = false;
  /// What stands for a symbol outside the vocabulary; without it such symbols are dropped.
  std::optional<uint32_t> unk_id;
  /// One `unk` for a run of unknown symbols instead of one each.
  bool fuse_unk = false;
  /// Unknown characters become their UTF-8 bytes as tokens `<0x00>` … `<0xFF>`.
  bool byte_fallback = false;
  /// A word that is in the vocabulary is one token, whatever the merges say.
  bool ignore_merges = false;
  /// What a symbol that is not the word's first carries in front, in the vocabulary.
  std::string continuing_subword_prefix;
  /// What the word's last symbol carries behind, in the vocabulary (CLIP's `</w>`).
  std::string end_of_word_suffix;
};

/// Byte-pair encoding of single words. Immutable but for `forbid`, and thread-safe.
///
/// A word of n symbols costs O(n log n). Where no merge can join a `▁` to what precedes it, as in
/// the vocabularies made by SentencePiece, a text without word boundaries is worked off run by run.
class BpeModel {
 public:
  /// A pair of tokens that become the token `merged`; the lowest rank goes first.
  struct Merge {
    uint32_t left;
    uint32_t right;
    uint32_t merged;
    uint32_t rank;
  };

  /// A later merge of the same pair replaces the earlier. Ids must be in the vocabulary.
  BpeModel(Vocabulary vocabulary, const std::vector<Merge>& merges, BpeOptions options);

  /// Marks `id` as a control token, which `encode` produces only on request.
  void mark_control(uint32_t id);

  /// Appends the ids of `word` (not empty, valid UTF-8 unless byte-level) to `ids`. With
  /// `allow_control` false, no merge and no look-up yields a control token.
  void encode(std::string_view word, bool allow_control, std::vector<int64_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  const BpeOptions& options() const { return options_; }

 private:
  struct MergeSlot {
    uint64_t pair = kNoPair;
    uint32_t rank = 0;
    uint32_t merged = 0;
  };
  static constexpr uint64_t kNoPair = UINT64_MAX;
  static constexpr uint32_t kNoId = UINT32_MAX;

  using Symbols = std::vector<uint32_t>;

  const MergeSlot* find_merge(uint32_t left, uint32_t right, bool allow_control) const;
  size_t pair_slot(uint64_t pair) const;
  void encode_run(std::string_view run, bool starts_word, bool ends_word, bool allow_control,
                  Symbols& symbols, std::vector<int64_t>& ids) const;
  void append_symbols(std::string_view run, bool starts_word, bool ends_word,
                      Symbols& symbols) const;
  uint32_t symbol_id(std::string_view symbol, bool first, bool last) const;
  void merge_few(Symbols& symbols, bool allow_control) const;
  void merge_many(Symbols& symbols, bool allow_control) const;
  bool can_cut_before_metaspace(const std::vector<Merge>& merges) const;
  bool is_control(uint32_t id) const { return id < control_.size() && control_[id]; }

  Vocabulary vocabulary_;
  BpeOptions options_;
  std::vector<MergeSlot> merge_slots_;      // open addressing, a power of two, at most half full
  std::array<uint32_t, 256> byte_ids_;      // ids of one-byte symbols, undecorated
  std::array<uint32_t, 256> fallback_ids_;  // ids of <0x00> … <0xFF>
  std::vector<bool> control_;
  bool cut_before_metaspace_ = false;
};

}  // namespace e5v::detail
