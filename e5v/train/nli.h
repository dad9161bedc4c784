#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "e5v/train/triplets.h"

namespace e5v::detail {

/// One labelled pair of a natural language inference corpus.
struct NliPair {
  enum class Label { kEntailment, kNeutral, kContradiction };
  std::string premise, hypothesis;
  Label label;
};

/// Reads labelled pairs in one of the forms in which SNLI and MNLI circulate:
///   *.jsonl               an object a line: gold_label, sentence1, sentence2
///   *.txt, *.tsv          tab-separated, a first line with those three names among others
///   *.csv                 the same with commas; also premise, hypothesis, label (0, 1, 2)
///   a folder              s1.NAME, s2.NAME, labels.NAME: a line each (InferSent's form), all NAMEs
/// Pairs without an agreed label ("-") are left out. Calls `on_pair` in the order of the file.
/// Throws FileError; FormatError naming the line, unless `on_bad_row` is kSkip.
void read_nli(const std::filesystem::path& path, OnBadRow on_bad_row,
              const std::function<void(NliPair)>& on_pair,
              const TripletFile::OnSkip& on_skip = nullptr);

/// Collects labelled pairs into triplets as SimCSE does: a premise, an entailed hypothesis, a
/// contradicting one, for premises that have both.
class NliTriplets {
 public:
  void add(NliPair pair);

  /// A triplet for each entailed hypothesis, or for the first of each premise only; premises in the
  /// order of their first pair. Where a premise has fewer contradictions they are taken in turn.
  std::vector<Triplet> triplets(bool one_per_premise) const;

 private:
  struct Hypotheses {
    std::vector<std::string> entailed, contradicting;
  };
  std::vector<std::pair<std::string, Hypotheses>> premises_;
  std::unordered_map<std::string, size_t> index_of_;  // premise -> position in premises_
};

}  // namespace e5v::detail
