#include "e5v/train/objectives/contrastive.h"

#include "e5v/base/error.h"
#include "e5v/families/registry.h"
#include "e5v/train/evaluation.h"
#include "e5v/train/grad_cache.h"
#include "e5v/train/whole_batch.h"

namespace e5v::detail {
namespace {

enum class Kind : int64_t { kAnchor, kPositive, kNegative };

/// Embeddings of a whole batch, apart by what they are.
struct SplitEmbeddings {
  at::Tensor anchors, positives, negatives, negative_rows;
};

SplitEmbeddings split(const at::Tensor& embeddings, const at::Tensor& kinds) {
  const auto places = [&](Kind kind) {
    return at::nonzero(kinds.select(1, 0) == static_cast<int64_t>(kind)).squeeze(1);
  };
  const at::Tensor negatives = places(Kind::kNegative);
  return {embeddings.index_select(0, places(Kind::kAnchor)),
          embeddings.index_select(0, places(Kind::kPositive)),
          embeddings.index_select(0, negatives), kinds.select(1, 1).index_select(0, negatives)};
}

}  // namespace

void ContrastiveTrainOptions::register_options(OptionRegistry& registry) {
  TrainOptions::register_options(registry);
  prompt.register_options(registry);
  model.register_options(registry);
  loss.register_options(registry);
}

void ContrastiveTrainOptions::validate() const {
  TrainOptions::validate();
  prompt.validate();
  model.validate();
  loss.validate();
}

std::unique_ptr<Objective> ContrastiveTrainOptions::open(
    const TrainFiles& files, ProcessGroup& group, const ObjectiveCallbacks& callbacks) const {
  return std::make_unique<ContrastiveObjective>(files, *this, group, callbacks);
}

double ContrastiveTrainOptions::flops_per_token(const std::filesystem::path& model_dir) const {
  return text_flops(load_architecture(model_dir)->text(), 1, {.forward = 1, .backward = 0});
}

int64_t ContrastiveObjective::StepBatch::num_tokens() const {
  int64_t count = 0;
  for (const TrainingRows& rows : micro_batches) count += rows.num_tokens();
  return count;
}

ContrastiveObjective::ContrastiveObjective(const TrainFiles& files,
                                           const ContrastiveTrainOptions& options,
                                           ProcessGroup& group, const ObjectiveCallbacks& callbacks)
    : options_(options),
      group_(group),
      data_(files.data, files.on_bad_row, callbacks.on_warning),
      preparer_(files.model),
      prompt_(preparer_, options.prompt, options.model.chat(preparer_)),
      model_(files.model, options.model, options.seed, data_.has_images(), files.adapter) {
  if (!files.eval_data.empty()) {
    eval_data_.emplace(files.eval_data, files.on_bad_row);
    if (eval_data_->has_images() && !data_.has_images()) {
      throw ConfigError(fmt::format("{}: has pictures, which the training data has not",
                                    files.eval_data.native()));
    }
  }
  check_batch_size();
}

void ContrastiveObjective::check_batch_size() const {
  if (options_.batch_size == 1 && data_.row(0).negatives.empty()) {
    throw ConfigError("'batch_size' is 1 and rows have no hard negatives: nothing to tell apart");
  }
  const bool grouped = options_.prompt.prompts == PromptMode::kPaperCode;
  if (grouped && options_.batch_size % (options_.micro_batch_size * group_.size()) != 0) {
    throw ConfigError(
        fmt::format("'batch_size' is {}, expected a multiple of {} micro-batches of {} "
                    "rows, which the published script pads together",
                    options_.batch_size, group_.size(), options_.micro_batch_size));
  }
}

ContrastiveObjective::StepBatch ContrastiveObjective::make_batch(
    const TripletFile& file, const std::vector<uint32_t>& rows) const {
  StepBatch batch;
  std::vector<int64_t> kinds;
  const auto add = [&](Kind kind, int64_t row) {
    kinds.push_back(static_cast<int64_t>(kind));
    kinds.push_back(row);
  };
  int64_t begin = rank_share(static_cast<int64_t>(rows.size()), group_).begin;
  for (const std::vector<uint32_t>& some : micro_batches(rows, options_.micro_batch_size, group_)) {
    const int64_t end = begin + static_cast<int64_t>(some.size());
    TrainingRows micro_batch = prepare_rows(file, some, prompt_);
    for (int64_t row = begin; row < end; ++row) add(Kind::kAnchor, row);
    for (int64_t row = begin; row < end; ++row) add(Kind::kPositive, row);
    for (const int64_t row : micro_batch.negative_rows) add(Kind::kNegative, begin + row);
    batch.micro_batches.push_back(std::move(micro_batch));
    begin = end;
  }
  batch.kinds = at::tensor(kinds, at::kLong).view({-1, 2});
  return batch;
}

ObjectiveResult ContrastiveObjective::add_gradients(const std::vector<uint32_t>& rows,
                                                    int64_t step) {
  const StepBatch batch = make_batch(data_, rows);
  const at::Tensor kinds = group_.gather_rows(batch.kinds);
  const auto encode = [&](int64_t i) {
    const TrainingRows& micro_batch = batch.micro_batches[static_cast<size_t>(i)];
    const TokenKeys keys = token_keys(micro_batch, static_cast<uint64_t>(options_.seed), step);
    return model_.encode(pack_rows(micro_batch, preparer_), &keys);
  };
  const auto loss = [&](const at::Tensor& embeddings) {
    const SplitEmbeddings parts = split(embeddings, kinds);
    return contrastive_loss(parts.anchors, parts.positives, parts.negatives, parts.negative_rows,
                            options_.loss);
  };
  const BatchResult result =
      accumulate_gradients(static_cast<int64_t>(batch.micro_batches.size()), encode, loss, group_);
  return {.loss = result.loss,
          .num_tokens = batch.num_tokens(),
          .bad_rows = rows_not_finite(result.embeddings, rows, kinds.select(1, 1))};
}

Json ContrastiveObjective::evaluate() {
  if (!eval_data_) return Json::object();
  return mean_over_batches(
      static_cast<int64_t>(eval_data_->size()), options_, [&](const std::vector<uint32_t>& rows) {
        const StepBatch batch = make_batch(*eval_data_, rows);
        std::vector<at::Tensor> embeddings;
        for (const TrainingRows& micro_batch : batch.micro_batches) {
          embeddings.push_back(model_.encode(pack_rows(micro_batch, preparer_), nullptr));
        }
        const SplitEmbeddings parts =
            split(group_.gather_rows(at::cat(embeddings)), group_.gather_rows(batch.kinds));
        const EmbeddingMetrics metrics = evaluate_embeddings(
            parts.anchors, parts.positives, parts.negatives, parts.negative_rows, options_.loss);
        return Json{{"eval_loss", metrics.loss},
                    {"eval_alignment", metrics.alignment},
                    {"eval_uniformity", metrics.uniformity},
                    {"eval_recall_at_1", metrics.recall_at_1}};
      });
}

void ContrastiveObjective::add_costs(int64_t num_rows, TrainingCost& cost,
                                     std::optional<TrainingCost>& picture_cost) const {
  const bool cached = options_.batch_size > options_.micro_batch_size * group_.size();
  const TrainingPasses passes{
      .forward = 1 + (cached ? 1 : 0) + (options_.model.gradient_checkpointing ? 1 : 0),
      .backward = 1};
  cost.flops = text_flops(model_.architecture().text(), cost.tokens, passes);
  if (data_.has_images()) return;
  const double texts_per_row = 2 + (data_.row(0).negatives.empty() ? 0 : 1);
  picture_cost = cost_with_pictures(preparer_, cost, num_rows, texts_per_row, passes);
}

ObjectiveType contrastive_objective() {
  return {.name = "contrastive",
          .summary = "what belongs together lies together, and apart from all else (E5-V)",
          .data = "triplets: .csv, .tsv or .jsonl",
          .make_options = []() -> std::unique_ptr<TrainOptions> {
            return std::make_unique<ContrastiveTrainOptions>();
          }};
}

}  // namespace e5v::detail
