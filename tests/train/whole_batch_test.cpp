#include "e5v/train/whole_batch.h"

#include <gmock/gmock.h>

#include <limits>

#include "e5v/train/objectives/contrastive.h"

namespace e5v::detail {
namespace {

using ::testing::ElementsAre;

TEST(WholeBatchTest, MicroBatchesAreTheRowsInOrder) {
  const ProcessGroup alone;
  EXPECT_THAT(micro_batches({7, 3, 9, 1, 4}, 2, alone),
              ElementsAre(ElementsAre(7, 3), ElementsAre(9, 1), ElementsAre(4)));
  EXPECT_THAT(micro_batches({7, 3}, 5, alone), ElementsAre(ElementsAre(7, 3)));
}

TEST(WholeBatchTest, RowsWithEmbeddingsThatAreNotFiniteAreNamed) {
  at::Tensor embeddings = at::ones({4, 3});
  embeddings[1][2] = std::numeric_limits<float>::quiet_NaN();
  embeddings[3][0] = -std::numeric_limits<float>::infinity();
  EXPECT_THAT(rows_not_finite(embeddings, {10, 20, 30, 40}), ElementsAre(20, 40));
  const at::Tensor places = at::tensor({0, 1, 0, 0}, at::kLong);
  EXPECT_THAT(rows_not_finite(embeddings, {10, 20}, places), ElementsAre(20, 10));
  EXPECT_TRUE(rows_not_finite(at::ones({2, 3}), {1, 2}).empty());
}

TEST(WholeBatchTest, FiguresAreMeansOverWholeBatchesOfTheRowsToEvaluate) {
  ContrastiveTrainOptions options;
  options.batch_size = 2;
  options.eval_rows = 5;
  std::vector<std::vector<uint32_t>> batches;
  const auto sums = [&](const std::vector<uint32_t>& rows) {
    batches.push_back(rows);
    double sum = 0;
    for (const uint32_t row : rows) sum += row;
    return Json{{"sum", sum}, {"half", sum / 2}};
  };
  EXPECT_EQ(mean_over_batches(9, options, sums), Json({{"sum", 3.0}, {"half", 1.5}}));
  EXPECT_THAT(batches, ElementsAre(ElementsAre(0, 1), ElementsAre(2, 3)));
  options.batch_size = 8;
  options.eval_rows = 0;
  EXPECT_EQ(mean_over_batches(3, options, sums), Json({{"sum", 3.0}, {"half", 1.5}}));
  EXPECT_THAT(batches.back(), ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace e5v::detail
