#include "e5v/train/whole_batch.h"

#include <algorithm>
#include <numeric>

namespace e5v::detail {

RankShare rank_share(int64_t num_rows, const ProcessGroup& group) {
  return {num_rows * group.rank() / group.size(), num_rows * (group.rank() + 1) / group.size()};
}

std::vector<std::vector<uint32_t>> micro_batches(const std::vector<uint32_t>& rows,
                                                 int64_t micro_batch_size,
                                                 const ProcessGroup& group) {
  std::vector<std::vector<uint32_t>> pieces;
  const auto [begin, end] = rank_share(static_cast<int64_t>(rows.size()), group);
  for (int64_t at = begin; at < end; at += micro_batch_size) {
    const int64_t stop = std::min(at + micro_batch_size, end);
    pieces.emplace_back(rows.begin() + at, rows.begin() + stop);
  }
  return pieces;
}

std::vector<uint32_t> rows_not_finite(const at::Tensor& embeddings,
                                      const std::vector<uint32_t>& rows, const at::Tensor& places) {
  std::vector<uint32_t> result;
  at::Tensor bad = at::nonzero(~at::isfinite(embeddings).all(1)).squeeze(1);
  if (places.defined()) bad = places.index_select(0, bad);
  for (int64_t i = 0; i < bad.size(0); ++i) {
    result.push_back(rows[static_cast<size_t>(bad[i].item<int64_t>())]);
  }
  return result;
}

std::vector<uint32_t> rows_to_evaluate(int64_t num_rows, const TrainOptions& options) {
  if (options.eval_rows > 0) num_rows = std::min(num_rows, options.eval_rows);
  std::vector<uint32_t> rows(static_cast<size_t>(num_rows));
  std::iota(rows.begin(), rows.end(), 0U);
  return rows;
}

Json mean_over_batches(int64_t num_rows, const TrainOptions& options,
                       const std::function<Json(const std::vector<uint32_t>& rows)>& evaluate) {
  const at::NoGradGuard no_grad;
  const std::vector<uint32_t> all = rows_to_evaluate(num_rows, options);
  const auto size = static_cast<int64_t>(all.size());
  const int64_t batch_size = std::min(options.batch_size, size), num_batches = size / batch_size;
  Json means = Json::object();
  for (int64_t b = 0; b < num_batches; ++b) {
    const auto begin = all.begin() + b * batch_size;
    const Json figures = evaluate({begin, begin + batch_size});
    for (const auto& [name, figure] : figures.items()) {
      const double share = figure.get<double>() / static_cast<double>(num_batches);
      means[name] = (b > 0 ? means[name].get<double>() : 0) + share;
    }
  }
  return means;
}

}  // namespace e5v::detail
