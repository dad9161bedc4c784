#pragma once

#include <cstdint>
#include <vector>

#include "e5v/model/packed_batch.h"
#include "e5v/train/training_prompt.h"
#include "e5v/train/triplets.h"

namespace e5v::detail {

/// Rows of a micro-batch as the model takes them: anchors, then positives, then hard negatives,
/// each in the order of the rows.
struct TrainingRows {
  std::vector<PreparedItem> items;
  /// Of each item's tokens; empty: counted from 0.
  std::vector<std::vector<int64_t>> position_ids;
  /// Tells an item apart from all others of a step, for dropout.
  std::vector<uint64_t> keys;
  int64_t num_rows = 0;
  std::vector<int64_t> negative_rows;  ///< for each hard negative, its row, from 0

  int64_t num_tokens() const;
};

/// Prepares `rows`, whose numbers in the data set are `indices`.
///
/// With PromptMode::kPaperCode the rows are also padded together as the published script pads what
/// is on one device: anchors and negatives on the left with eos to a multiple of 8, positives
/// likewise with id 0; then all to one width with eos (id 0 where there are no negatives). Tokens
/// of id 0 are masked, wherever they come from (`!` has id 0 in Llama-3's vocabulary); eos is
/// attended, and positions count everything. A masked token is not computed at all, which changes
/// nothing for the others.
///
/// Throws InputError naming the line in `file` of what cannot be prepared, or whose last token
/// would be masked.
TrainingRows prepare_rows(const TripletFile& file, const std::vector<uint32_t>& indices,
                          const TrainingPrompt& prompt);

/// The items end to end.
PackedBatch pack_rows(const TrainingRows& rows, const ItemPreparer& preparer);

/// For dropout: a number for each token of the packed batch, and for the last of each sequence;
/// int64, the same for the same seed, step, item and position.
struct TokenKeys {
  at::Tensor tokens;  ///< [T]
  at::Tensor last;    ///< [B]
};
TokenKeys token_keys(const TrainingRows& rows, uint64_t seed, int64_t step);

}  // namespace e5v::detail
