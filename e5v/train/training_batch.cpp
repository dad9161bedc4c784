#include "e5v/train/training_batch.h"

#include <algorithm>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/random.h"

namespace e5v::detail {
namespace {

constexpr int64_t kPadToMultipleOf = 8;

size_t padded_length(const std::vector<PreparedItem>& items, size_t begin, size_t end) {
  size_t longest = 0;
  for (size_t i = begin; i < end; ++i) longest = std::max(longest, items[i].input_ids.size());
  return (longest + kPadToMultipleOf - 1) / kPadToMultipleOf * kPadToMultipleOf;
}

void pad_left(std::vector<int64_t>& ids, size_t length, int64_t id) {
  ids.insert(ids.begin(), length - ids.size(), id);
}

/// Takes the tokens of id 0 out; returns the positions of those that stay.
std::vector<int64_t> drop_masked(std::vector<int64_t>& ids) {
  std::vector<int64_t> kept, positions;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == 0) continue;
    kept.push_back(ids[i]);
    positions.push_back(static_cast<int64_t>(i));
  }
  if (ids.empty() || ids.back() == 0) {
    throw InputError(
        "its last token has id 0, which the published script masks; expected --prompts clean for "
        "this model");
  }
  ids = std::move(kept);
  return positions;
}

/// The published script's padding of one device's rows; see prepare_rows.
void pad_as_paper_code(TrainingRows& rows, int64_t eos) {
  auto& items = rows.items;
  const auto B = static_cast<size_t>(rows.num_rows);
  const size_t ends[] = {0, B, 2 * B, items.size()};
  size_t width = 0;
  for (int group = 0; group < 3; ++group) {
    const size_t length = padded_length(items, ends[group], ends[group + 1]);
    for (size_t i = ends[group]; i < ends[group + 1]; ++i) {
      pad_left(items[i].input_ids, length, group == 1 ? 0 : eos);
    }
    width = std::max(width, length);
  }
  const int64_t widening = rows.negative_rows.empty() ? 0 : eos;
  for (PreparedItem& item : items) {
    pad_left(item.input_ids, width, widening);
    rows.position_ids.push_back(drop_masked(item.input_ids));
  }
}

}  // namespace

int64_t TrainingRows::num_tokens() const {
  int64_t count = 0;
  for (const PreparedItem& item : items) count += item.num_tokens();
  return count;
}

TrainingRows prepare_rows(const TripletFile& file, const std::vector<uint32_t>& indices,
                          const TrainingPrompt& prompt) {
  TrainingRows rows;
  rows.num_rows = static_cast<int64_t>(indices.size());
  std::vector<Triplet> triplets;
  for (const uint32_t index : indices) triplets.push_back(file.row(index));
  const auto add = [&](const TripletItem& item, size_t row, uint64_t number) {
    try {
      rows.items.push_back(prompt.prepare(item));
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: line {}: {}", file.path().native(),
                                   file.line_of(indices[row]), error.what()));
    }
    rows.keys.push_back(mix64((uint64_t{indices[row]} << 16) + number));
  };
  for (size_t i = 0; i < triplets.size(); ++i) add(triplets[i].anchor, i, 0);
  for (size_t i = 0; i < triplets.size(); ++i) add(triplets[i].positive, i, 1);
  for (size_t i = 0; i < triplets.size(); ++i) {
    for (size_t n = 0; n < triplets[i].negatives.size(); ++n) {
      add(triplets[i].negatives[n], i, 2 + n);
      rows.negative_rows.push_back(static_cast<int64_t>(i));
    }
  }
  if (prompt.mode() == PromptMode::kPaperCode) {
    const auto eos = prompt.preparer().tokenizer().special_token_ids().eos;
    if (!eos) {
      throw ConfigError("the tokenizer names no eos token, with which the published script pads");
    }
    pad_as_paper_code(rows, *eos);
  }
  return rows;
}

PackedBatch pack_rows(const TrainingRows& rows, const ItemPreparer& preparer) {
  PackedBatch batch = preparer.collate(rows.items);
  if (rows.position_ids.empty()) return batch;
  std::vector<int64_t> positions;
  for (const auto& of_item : rows.position_ids) {
    positions.insert(positions.end(), of_item.begin(), of_item.end());
  }
  batch.position_ids = at::tensor(positions, at::kLong);
  return batch;
}

TokenKeys token_keys(const TrainingRows& rows, uint64_t seed, int64_t step) {
  std::vector<int64_t> tokens, last;
  const uint64_t of_step = mix64(mix64(seed) ^ static_cast<uint64_t>(step));
  for (size_t i = 0; i < rows.items.size(); ++i) {
    const uint64_t of_item = mix64(of_step ^ rows.keys[i]);
    for (uint64_t t = 0; t < rows.items[i].input_ids.size(); ++t) {
      tokens.push_back(static_cast<int64_t>(mix64(of_item + t)));
    }
    last.push_back(tokens.back());
  }
  return {at::tensor(tokens, at::kLong), at::tensor(last, at::kLong)};
}

}  // namespace e5v::detail
