#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/train/process_group.h"
#include "e5v/train/train_options.h"

namespace e5v::detail {

/// The rows of a batch that are this rank's: [begin, end).
struct RankShare {
  int64_t begin, end;
};
RankShare rank_share(int64_t num_rows, const ProcessGroup& group);

/// This rank's share of `rows` in pieces of `micro_batch_size`, in order; the last may be shorter.
std::vector<std::vector<uint32_t>> micro_batches(const std::vector<uint32_t>& rows,
                                                 int64_t micro_batch_size,
                                                 const ProcessGroup& group);

/// The rows whose embeddings hold a value that is not finite, one for each such embedding.
///   embeddings  [N, D] of the whole batch
///   places      [N] int64: which of `rows` an embedding belongs to; undefined: its own number
std::vector<uint32_t> rows_not_finite(const at::Tensor& embeddings,
                                      const std::vector<uint32_t>& rows,
                                      const at::Tensor& places = {});

/// The first rows of a held-out file of `num_rows`, as many as TrainOptions::eval_rows says.
std::vector<uint32_t> rows_to_evaluate(int64_t num_rows, const TrainOptions& options);

/// Means, name by name, of the numbers that `evaluate` finds for each whole batch of the rows to
/// evaluate; for all of them together if they are fewer than a batch. Records no gradients.
Json mean_over_batches(int64_t num_rows, const TrainOptions& options,
                       const std::function<Json(const std::vector<uint32_t>& rows)>& evaluate);

}  // namespace e5v::detail
