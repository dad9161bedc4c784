#include "e5v/train/evaluation.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "e5v/base/file.h"
#include "e5v/convert/random_model.h"
#include "e5v/embed/embedder.h"
#include "e5v/train/objectives/contrastive.h"
#include "e5v/train/trainer.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using Vectors = std::vector<std::vector<float>>;

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

/// The definitions of EmbeddingMetrics in plain loops, of unit vectors; row i of each belongs
/// together.
EmbeddingMetrics expected_metrics(const Vectors& anchors, const Vectors& positives,
                                  const Vectors& negatives, double temperature) {
  const size_t B = anchors.size();
  EmbeddingMetrics expected;
  Vectors all = anchors;
  all.insert(all.end(), positives.begin(), positives.end());
  for (size_t i = 0; i < B; ++i) {
    double sum = 0;
    size_t nearest = 0;
    for (size_t j = 0; j < B; ++j) {
      sum += std::exp(dot(anchors[i], positives[j]) / temperature);
      sum += std::exp(dot(anchors[i], negatives[j]) / temperature);
      if (dot(anchors[i], positives[j]) > dot(anchors[i], positives[nearest])) nearest = j;
    }
    const double own = dot(anchors[i], positives[i]);
    const auto n = static_cast<double>(B);
    expected.loss += (std::log(sum) - own / temperature) / n;
    expected.alignment += (2 - 2 * own) / n;
    expected.recall_at_1 += nearest == i ? 1 / n : 0;
  }
  double kernel = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t j = 0; j < all.size(); ++j) {
      if (i != j) kernel += std::exp(-2 * (2 - 2 * dot(all[i], all[j])));
    }
  }
  expected.uniformity = std::log(kernel / static_cast<double>(all.size() * (all.size() - 1)));
  return expected;
}

/// A tiny model, trained on triplets, of which some are held out.
class EvaluationTest : public ::testing::Test {
 protected:
  static constexpr size_t kBatchSize = 4;

  EvaluationTest() {
    at::set_num_threads(1);  // so small a model gains nothing from more, and results are the same
    write_random_model(folder_ / "model", {.preset = "tiny", .seed = 3, .dtype = DType::F32});
    files_.model = folder_ / "model";
    files_.data = write_triplets("triplets.csv", 8);
    files_.eval_data = write_triplets("held_out.csv", 2 * kBatchSize + 1);  // one fills no batch
    options_.model.base_precision = Precision::kFloat32;
    options_.batch_size = kBatchSize;
    options_.epochs = 4;
    options_.eval_every = 3;
    options_.save_every = 0;
    options_.optimizer.learning_rate = 2e-3;
    options_.optimizer.warmup_steps = 0;
  }

  static std::string text(const char* column, size_t row) {
    constexpr const char* kNouns[] = {"dog", "cat", "child", "ball", "tree"};
    return fmt::format("A {} near the {} {}.", kNouns[row % 5], kNouns[row % 3], column);
  }
  /// Rows 1 and 2 have each other's, so that not every positive is found.
  static std::string positive(size_t row) {
    return text("moves", row == 1 || row == 2 ? 3 - row : row);
  }
  std::filesystem::path write_triplets(const std::string& name, size_t num_rows) const {
    std::string rows = "sent0,sent1,hard_neg\n";
    for (size_t i = 0; i < num_rows; ++i) {
      rows += fmt::format("{},{},{}\n", text("runs", i), positive(i), text("sleeps", i));
    }
    write_file(folder_ / name, rows);
    return folder_ / name;
  }

  std::vector<Json> train(const std::string& name) {
    files_.output = folder_ / name;
    ProcessGroup alone;
    Trainer(files_, options_, alone).run();
    return RunFolder(files_.output).metrics();
  }

  TemporaryFolder folder_;
  TrainFiles files_;
  ContrastiveTrainOptions options_;
};

TEST_F(EvaluationTest, HeldOutPairsAreEvaluatedAsEmbeddingHasThem) {
  const auto metrics = train("run");
  ASSERT_EQ(metrics.size(), 8u);
  for (const Json& step : metrics) {
    const int64_t number = step["step"];
    EXPECT_EQ(step.contains("eval_loss"), number % 3 == 0 || number == 8) << number;
  }
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/loss.svg"));

  EmbedderOptions embed;
  embed.model = files_.model;
  embed.adapter = folder_ / "run";
  embed.precision = Precision::kFloat32;
  embed.threads = 1;
  const Embedder embedder(embed);
  const auto embedded = [&](const auto& text_of, size_t first_row) {
    std::vector<Item> items(kBatchSize);
    for (size_t i = 0; i < kBatchSize; ++i) items[i].text = text_of(first_row + i);
    return embedder.embed(items);
  };
  const auto anchor = [](size_t row) { return text("runs", row); };
  const auto negative = [](size_t row) { return text("sleeps", row); };
  EmbeddingMetrics mean;
  for (const size_t row : {size_t{0}, kBatchSize}) {
    const EmbeddingMetrics one = expected_metrics(embedded(anchor, row), embedded(positive, row),
                                                  embedded(negative, row), /*temperature=*/0.05);
    mean.loss += one.loss / 2;
    mean.alignment += one.alignment / 2;
    mean.uniformity += one.uniformity / 2;
    mean.recall_at_1 += one.recall_at_1 / 2;
  }
  const Json& last = metrics.back();
  EXPECT_NEAR(last["eval_loss"], mean.loss, 1e-4);
  EXPECT_NEAR(last["eval_alignment"], mean.alignment, 1e-5);
  EXPECT_NEAR(last["eval_uniformity"], mean.uniformity, 1e-4);
  EXPECT_EQ(last["eval_recall_at_1"], mean.recall_at_1);
  EXPECT_LT(mean.recall_at_1, 1);  // else much that is wrong gave the same
}

TEST_F(EvaluationTest, OnlyTheFirstRowsAreEvaluatedWhereThatIsAsked) {
  options_.max_steps = 1;
  const auto loss_of = [&](const std::string& name) {
    return train(name)[0]["eval_loss"].get<double>();
  };
  const double all = loss_of("all");
  options_.eval_rows = 2;
  const double two = loss_of("two");
  EXPECT_NE(two, all);
  files_.eval_data = write_triplets("two.csv", 2);
  options_.eval_rows = 0;
  EXPECT_EQ(loss_of("file_of_two"), two);
}

}  // namespace
}  // namespace e5v::detail
