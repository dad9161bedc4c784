#include "e5v/train/trainer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/random.h"
#include "e5v/train/contrastive_loss.h"
#include "e5v/train/evaluation.h"
#include "e5v/train/grad_cache.h"
#include "e5v/train/loss_curve.h"
#include "e5v/train/optimizer.h"
#include "e5v/train/tensor_file.h"
#include "e5v/train/training_batch.h"
#include "e5v/train/training_model.h"
#include "e5v/train/training_prompt.h"
#include "e5v/train/triplets.h"

namespace e5v {
namespace {

/// Options that may differ between a run and its continuation: they do not change its numbers.
constexpr const char* kFreeOptions[] = {"save_every", "keep_checkpoints", "eval_every",
                                        "eval_rows"};

enum class Kind : int64_t { kAnchor, kPositive, kNegative };

/// One rank's part of a step: micro-batches, and for each of their sequences, in order, what it is.
struct StepBatch {
  std::vector<TrainingRows> micro_batches;
  at::Tensor kinds;  ///< [sequences, 2] int64: Kind, and the row's number in the whole batch
  std::vector<uint32_t> rows;  ///< of the whole batch, by number in the data

  int64_t num_tokens() const {
    int64_t count = 0;
    for (const TrainingRows& rows : micro_batches) count += rows.num_tokens();
    return count;
  }
};

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

/// Tells whether a resumed run has the data that it was begun with.
std::string content_digest(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  uint64_t digest = mix64(bytes.size());
  for (size_t at = 0; at < bytes.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min(sizeof(word), bytes.size() - at));
    digest = mix64(digest ^ word);
  }
  return fmt::format("{:016x}", digest);
}

}  // namespace

struct Trainer::Impl {
  Impl(TrainFiles files_, TrainOptions options_, Ranks& ranks_, TrainCallbacks callbacks_)
      : files(std::move(files_)),
        options((options_.validate(), std::move(options_))),
        ranks(ranks_),
        callbacks(std::move(callbacks_)),
        folder(open_folder(files)),
        data(files.data, files.on_bad_row, [this](const std::string& m) { warn(m); }),
        preparer(files.model, LlavaConfig::load(files.model)),
        prompt(preparer, options),
        image_processor(data.has_images() ? &preparer.image_processor() : nullptr),
        model(files.model, options, data.has_images(), files.adapter),
        optimizer(model.parameters(), options.optimizer),
        recipe(to_json(options)) {
    if (!files.eval_data.empty()) {
      eval_data.emplace(files.eval_data, files.on_bad_row);
      if (eval_data->has_images() && !data.has_images()) {
        throw ConfigError(fmt::format("{}: has pictures, which the training data has not",
                                      files.eval_data.native()));
      }
    }
    check_sizes();
    // A state written by one run must not be continued on other data.
    recipe["data_digest"] = content_digest(files.data);
    begin_or_resume();
  }

  static RunFolder open_folder(const TrainFiles& files) {
    RunFolder folder(files.output);
    if (!files.resume && folder.has_run()) {
      throw ConfigError(
          fmt::format("{}: holds a run already; --resume continues it", files.output.native()));
    }
    return folder;
  }

  void check_sizes() {
    const auto size = static_cast<int64_t>(data.size());
    if (options.batch_size > size) {
      throw ConfigError(fmt::format("'batch_size' is {}, but {} has {} rows; expected at most that",
                                    options.batch_size, files.data.native(), size));
    }
    if (options.batch_size < ranks.size()) {
      throw ConfigError(
          fmt::format("'batch_size' is {}, expected at least one row for each of {} "
                      "processes",
                      options.batch_size, ranks.size()));
    }
    if (options.batch_size == 1 && data.row(0).negatives.empty()) {
      throw ConfigError("'batch_size' is 1 and rows have no hard negatives: nothing to tell apart");
    }
    const bool grouped = options.prompts == PromptMode::kPaperCode;
    if (grouped && options.batch_size % (options.micro_batch_size * ranks.size()) != 0) {
      throw ConfigError(
          fmt::format("'batch_size' is {}, expected a multiple of {} micro-batches of {} "
                      "rows, which the published script pads together",
                      options.batch_size, ranks.size(), options.micro_batch_size));
    }
    steps_per_epoch = size / options.batch_size;
    num_steps = steps_per_epoch * options.epochs;
    if (options.max_steps > 0) num_steps = std::min(num_steps, options.max_steps);
  }

  void begin_or_resume() {
    const auto saved = folder.checkpoints();
    if (!saved.empty()) restore(saved.back());
    ranks.barrier();  // all have looked before the first writes
    if (!ranks.is_first()) return;
    folder.rewind_metrics(next_step - 1);
    Json record = recipe;
    record["model"] = files.model.string();
    record["data"] = files.data.string();
    record["adapter"] = files.adapter.string();
    record["revision"] = program_revision();
    record["num_processes"] = ranks.size();
    write_file(folder.path() / "recipe.json", record.dump(2) + "\n");
    say(fmt::format("{} rows, {} steps of {}; {} trained values, weights {} MB", data.size(),
                    num_steps, options.batch_size, num_trained(), model.num_weight_bytes() >> 20));
  }

  void restore(const RunFolder::Saved& saved) {
    const Json state = read_json(saved.folder / "state.json");
    const Json before = require_field<Json>(state, "recipe");
    for (const auto& [key, value] : recipe.items()) {
      const bool is_free = std::find(std::begin(kFreeOptions), std::end(kFreeOptions), key) !=
                           std::end(kFreeOptions);
      if (is_free || (before.contains(key) && before[key] == value)) continue;
      throw ConfigError(fmt::format("'{}' is {}, but the run in {} was begun with {}", key,
                                    json_excerpt(value), files.output.native(),
                                    before.contains(key) ? json_excerpt(before[key]) : "none"));
    }
    model.load(saved.folder);
    optimizer.restore(read_tensor_file(saved.folder / "optimizer.safetensors"), saved.step);
    next_step = saved.step + 1;
    say(fmt::format("goes on after step {}", saved.step));
  }

  int64_t num_trained() const {
    int64_t count = 0;
    for (const Parameter& parameter : model.parameters()) count += parameter.value.numel();
    return count;
  }

  /// Numbers of the rows of step `step`, in the order of the epoch.
  std::vector<uint32_t> rows_of(int64_t step) {
    const int64_t epoch = (step - 1) / steps_per_epoch, in_epoch = (step - 1) % steps_per_epoch;
    if (epoch != order_epoch) {
      order = epoch_order(data.size(), static_cast<uint64_t>(options.seed),
                          static_cast<uint64_t>(epoch), options.shuffle);
      order_epoch = epoch;
    }
    const auto begin = order.begin() + in_epoch * options.batch_size;
    return {begin, begin + options.batch_size};
  }

  /// This rank's share of `rows`, tokenized in micro-batches.
  StepBatch make_batch(const TripletFile& file, std::vector<uint32_t> rows) const {
    StepBatch batch;
    batch.rows = std::move(rows);
    const auto size = static_cast<int64_t>(batch.rows.size());
    const int64_t begin = size * ranks.rank() / ranks.size();
    const int64_t end = size * (ranks.rank() + 1) / ranks.size();
    std::vector<int64_t> kinds;
    for (int64_t at = begin; at < end; at += options.micro_batch_size) {
      const int64_t stop = std::min(at + options.micro_batch_size, end);
      const std::vector<uint32_t> indices(batch.rows.begin() + at, batch.rows.begin() + stop);
      TrainingRows micro_batch = prepare_rows(file, indices, prompt);
      const auto add = [&](Kind kind, int64_t row) {
        kinds.push_back(static_cast<int64_t>(kind));
        kinds.push_back(at + row);
      };
      for (int64_t i = at; i < stop; ++i) add(Kind::kAnchor, i - at);
      for (int64_t i = at; i < stop; ++i) add(Kind::kPositive, i - at);
      for (const int64_t row : micro_batch.negative_rows) add(Kind::kNegative, row);
      batch.micro_batches.push_back(std::move(micro_batch));
    }
    batch.kinds = at::tensor(kinds, at::kLong).view({-1, 2});
    return batch;
  }

  /// Gradients of step `step` in the parameters' `.grad`, over all ranks; the loss and embeddings.
  BatchResult compute_gradients(const StepBatch& batch, int64_t step) {
    optimizer.clear_gradients();
    const at::Tensor kinds = ranks.gather_rows(batch.kinds);
    const auto encode = [&](int64_t i) {
      const TrainingRows& rows = batch.micro_batches[static_cast<size_t>(i)];
      const TokenKeys keys = token_keys(rows, static_cast<uint64_t>(options.seed), step);
      return model.encode(rows, image_processor, &keys);
    };
    const auto loss = [&](const at::Tensor& embeddings) {
      const SplitEmbeddings parts = split(embeddings, kinds);
      return contrastive_loss(parts.anchors, parts.positives, parts.negatives, parts.negative_rows,
                              options.loss);
    };
    const BatchResult result =
        accumulate_gradients(static_cast<int64_t>(batch.micro_batches.size()), encode, loss, ranks);
    if (!std::isfinite(result.loss))
      refuse("loss", result.loss, batch, kinds, result.embeddings, step);
    std::vector<at::Tensor> gradients;
    for (const Parameter& parameter : model.parameters()) {
      at::Tensor& gradient = parameter.value.mutable_grad();
      if (!gradient.defined()) gradient = at::zeros_like(parameter.value);
      gradients.push_back(gradient);
    }
    ranks.sum(gradients);
    return result;
  }

  [[noreturn]] void refuse(const char* what, double value, const StepBatch& batch,
                           const at::Tensor& kinds, const at::Tensor& embeddings, int64_t step) {
    constexpr size_t kMaxNamed = 8;
    const at::Tensor bad = at::nonzero(~at::isfinite(embeddings).all(1)).squeeze(1);
    std::vector<uint64_t> lines;
    for (int64_t i = 0; i < bad.size(0) && lines.size() < kMaxNamed; ++i) {
      const auto row = kinds[bad[i].item<int64_t>()][1].item<int64_t>();
      const uint64_t line = data.line_of(batch.rows[static_cast<size_t>(row)]);
      if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(line);
    }
    if (lines.empty()) {  // no single row's fault: say which were in the batch
      for (size_t i = 0; i < batch.rows.size() && lines.size() < kMaxNamed; ++i) {
        lines.push_back(data.line_of(batch.rows[i]));
      }
    }
    throw Error(fmt::format(
        "step {}: the {} is {}, expected a finite number; rows at lines {}{} of {}; "
        "nothing of this "
        "step was applied; a smaller learning rate?",
        step, what, std::isnan(value) ? "nan" : fmt::format("{}", value), fmt::join(lines, ", "),
        lines.size() == kMaxNamed ? ", …" : "", files.data.native()));
  }

  void save_checkpoint(int64_t step) {
    if (ranks.is_first()) {
      folder.save_checkpoint(step, options.keep_checkpoints, [&](const std::filesystem::path& to) {
        model.save(to);
        write_tensor_file(to / "optimizer.safetensors", optimizer.state());
        const Json state = {{"step", step}, {"recipe", recipe}};
        write_file(to / "state.json", state.dump(2) + "\n");
      });
    }
    ranks.barrier();
  }

  /// Means over the whole batches of the held-out file's first `eval_rows` rows (over all of these,
  /// if they are fewer than a batch).
  Evaluation evaluate() {
    const at::NoGradGuard no_grad;
    auto size = static_cast<int64_t>(eval_data->size());
    if (options.eval_rows > 0) size = std::min(size, options.eval_rows);
    const int64_t batch_size = std::min(options.batch_size, size);
    const int64_t num_batches = size / batch_size;
    Evaluation mean;
    for (int64_t b = 0; b < num_batches; ++b) {
      std::vector<uint32_t> rows;
      for (int64_t i = 0; i < batch_size; ++i) {
        rows.push_back(static_cast<uint32_t>(b * batch_size + i));
      }
      const StepBatch batch = make_batch(*eval_data, std::move(rows));
      std::vector<at::Tensor> embeddings;
      for (const TrainingRows& micro_batch : batch.micro_batches) {
        embeddings.push_back(model.encode(micro_batch, image_processor, nullptr));
      }
      const SplitEmbeddings parts =
          split(ranks.gather_rows(at::cat(embeddings)), ranks.gather_rows(batch.kinds));
      const Evaluation one = evaluate_embeddings(parts.anchors, parts.positives, parts.negatives,
                                                 parts.negative_rows, options.loss);
      const auto n = static_cast<double>(num_batches);
      mean.loss += one.loss / n;
      mean.alignment += one.alignment / n;
      mean.uniformity += one.uniformity / n;
      mean.recall_at_1 += one.recall_at_1 / n;
    }
    return mean;
  }

  void log(const StepMetrics& metrics, const std::optional<Evaluation>& evaluation) {
    if (!ranks.is_first()) return;
    Json line = {{"step", metrics.step},
                 {"loss", metrics.loss},
                 {"lr", metrics.learning_rate},
                 {"grad_norm", metrics.grad_norm},
                 {"tokens_per_second", metrics.tokens_per_second}};
    if (evaluation) {
      line["eval_loss"] = evaluation->loss;
      line["eval_alignment"] = evaluation->alignment;
      line["eval_uniformity"] = evaluation->uniformity;
      line["eval_recall_at_1"] = evaluation->recall_at_1;
    }
    folder.add_metrics(line);
    if (callbacks.on_step) callbacks.on_step(metrics);
  }

  void add_costs(TrainSummary& summary) const {
    if (summary.num_pairs == 0) return;
    const bool cached = options.batch_size > options.micro_batch_size * ranks.size();
    const TrainingPasses passes{
        .forward = 1 + (cached ? 1 : 0) + (options.gradient_checkpointing ? 1 : 0), .backward = 1};
    TrainingCost& cost = summary.text_cost;
    cost.flops = text_flops(model.config().text, cost.tokens, passes);
    if (data.has_images()) return;
    const double texts_per_row = 2 + (data.row(0).negatives.empty() ? 0 : 1);
    summary.picture_cost = cost_with_pictures(model.config(), preparer, cost, summary.num_pairs,
                                              texts_per_row, passes);
  }

  void finish() {
    if (ranks.is_first()) {
      model.write_result(folder.path());
      write_file(folder.path() / "loss.svg", loss_curve_svg(folder.metrics()));
    }
    ranks.barrier();
  }

  void say(const std::string& message) {
    if (ranks.is_first() && callbacks.on_message) callbacks.on_message(message);
  }
  void warn(const std::string& message) {
    if (ranks.is_first() && callbacks.on_warning) callbacks.on_warning(message);
  }

  TrainFiles files;
  TrainOptions options;
  Ranks& ranks;
  TrainCallbacks callbacks;
  RunFolder folder;
  TripletFile data;
  std::optional<TripletFile> eval_data;
  ItemPreparer preparer;
  TrainingPrompt prompt;
  const ImageProcessor* image_processor;  // null: there are no pictures
  TrainingModel model;
  AdamW optimizer;
  Json recipe;
  int64_t steps_per_epoch = 0, num_steps = 0, next_step = 1;
  int64_t order_epoch = -1;
  std::vector<uint32_t> order;
};

Trainer::Trainer(TrainFiles files, TrainOptions options, Ranks& ranks, TrainCallbacks callbacks)
    : impl_(std::make_unique<Impl>(std::move(files), std::move(options), ranks,
                                   std::move(callbacks))) {}

Trainer::~Trainer() = default;

TrainSummary Trainer::run() {
  using Clock = std::chrono::steady_clock;
  Impl& self = *impl_;
  const TrainOptions& options = self.options;
  TrainSummary summary{.num_steps = self.num_steps, .first_step = self.next_step};
  const Clock::time_point started = Clock::now();
  for (int64_t step = self.next_step; step <= self.num_steps; ++step) {
    const Clock::time_point step_started = Clock::now();
    const StepBatch batch = self.make_batch(self.data, self.rows_of(step));
    const BatchResult result = self.compute_gradients(batch, step);
    const double norm = clip_gradients(self.model.parameters(), options.optimizer.max_grad_norm);
    if (!std::isfinite(norm)) {
      self.refuse("gradient's length", norm, batch, self.ranks.gather_rows(batch.kinds),
                  result.embeddings, step);
    }
    const double rate = learning_rate(options.optimizer, step, self.num_steps);
    self.optimizer.step(rate);

    const at::Tensor tokens = self.ranks.gather_rows(at::tensor({batch.num_tokens()}, at::kLong));
    const std::chrono::duration<double> elapsed = Clock::now() - step_started;
    const bool is_last = step == self.num_steps;
    std::optional<Evaluation> evaluation;
    if (self.eval_data && (is_last || step % options.eval_every == 0)) {
      evaluation = self.evaluate();
    }
    const auto num_tokens = tokens.sum().item<int64_t>();
    self.log({.step = step,
              .num_steps = self.num_steps,
              .loss = result.loss,
              .learning_rate = rate,
              .grad_norm = norm,
              .tokens_per_second = static_cast<double>(num_tokens) / elapsed.count()},
             evaluation);
    if (options.save_every > 0 && (is_last || step % options.save_every == 0)) {
      self.save_checkpoint(step);
    }
    summary.last_loss = result.loss;
    summary.num_pairs += options.batch_size;
    summary.text_cost.tokens += num_tokens;
  }
  self.finish();
  summary.text_cost.seconds = std::chrono::duration<double>(Clock::now() - started).count();
  self.add_costs(summary);
  return summary;
}

}  // namespace e5v
