#include "e5v/train/trainer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "e5v/base/content_hash.h"
#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/nn/tensor_file.h"
#include "e5v/train/loss_curve.h"
#include "e5v/train/objective.h"
#include "e5v/train/optimizer.h"
#include "e5v/train/revision.h"
#include "e5v/train/triplets.h"

namespace e5v::detail {
namespace {

/// Options that may differ between a run and its continuation: they do not change its numbers.
constexpr const char* kFreeOptions[] = {"save_every", "keep_checkpoints", "eval_every",
                                        "eval_rows"};

/// Of a folder the names and sizes of its files, for it may be large.
std::string folder_digest(const std::filesystem::path& path) {
  std::vector<std::pair<std::string, uint64_t>> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) {
      files.emplace_back(entry.path().lexically_relative(path).native(), entry.file_size());
    }
  }
  std::sort(files.begin(), files.end());
  ContentHasher hasher;
  for (const auto& [name, size] : files) hasher.add(name).add(size);
  return hasher.hash().digits();
}

/// Tells whether a resumed run has the data that it was begun with.
std::string content_digest(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) return folder_digest(path);
  const MappedFile file(path);
  const auto bytes = file.bytes();
  return ContentHasher()
      .add({reinterpret_cast<const char*>(bytes.data()), bytes.size()})
      .hash()
      .digits();
}

}  // namespace

struct Trainer::Impl {
  Impl(TrainFiles files_, const TrainOptions& options_, ProcessGroup& group_,
       TrainCallbacks callbacks_)
      : files(std::move(files_)),
        options((options_.validate(), options_)),
        group(group_),
        callbacks(std::move(callbacks_)),
        folder(open_folder(files)),
        objective(open_objective()),
        optimizer(objective->parameters(), options.optimizer),
        recipe(to_json(options)) {
    check_sizes();
    // A state written by one run must not be continued on other data.
    recipe["data_digest"] = content_digest(files.data);
    begin_or_resume();
  }

  std::unique_ptr<Objective> open_objective() {
    return options.open(files, group,
                        {.on_warning = [this](const std::string& message) { warn(message); },
                         .on_progress = callbacks.on_data_progress});
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
    const int64_t size = objective->num_rows();
    if (options.batch_size > size) {
      throw ConfigError(fmt::format("'batch_size' is {}, but {} has {} rows; expected at most that",
                                    options.batch_size, files.data.native(), size));
    }
    if (options.batch_size < group.size()) {
      throw ConfigError(
          fmt::format("'batch_size' is {}, expected at least one row for each of {} "
                      "processes",
                      options.batch_size, group.size()));
    }
    steps_per_epoch = size / options.batch_size;
    num_steps = steps_per_epoch * options.epochs;
    if (options.max_steps > 0) num_steps = std::min(num_steps, options.max_steps);
  }

  void begin_or_resume() {
    const auto saved = folder.checkpoints();
    if (!saved.empty()) restore(saved.back());
    group.barrier();  // all have looked before the first writes
    if (!group.is_first()) return;
    folder.rewind_metrics(next_step - 1);
    Json record = recipe;
    record["model"] = files.model.string();
    record["data"] = files.data.string();
    record["adapter"] = files.adapter.string();
    record["revision"] = program_revision();
    record["num_processes"] = group.size();
    write_file(folder.path() / "recipe.json", record.dump(2) + "\n");
    if (next_step > num_steps) return;
    say(fmt::format("{} rows, {} steps of {}; {} trained values, weights {} MB",
                    objective->num_rows(), num_steps, options.batch_size, num_trained(),
                    objective->num_weight_bytes() >> 20));
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
    objective->load(saved.folder);
    optimizer.restore(read_tensor_file(saved.folder / "optimizer.safetensors"), saved.step);
    next_step = saved.step + 1;
    if (next_step <= num_steps) say(fmt::format("goes on after step {}", saved.step));
  }

  /// Of the last step that is done.
  double loss_before() const {
    const std::vector<Json> metrics = folder.metrics();
    return metrics.empty() ? 0 : require_field<double>(metrics.back(), "loss");
  }

  int64_t num_trained() const {
    int64_t count = 0;
    for (const Parameter& parameter : objective->parameters()) count += parameter.value.numel();
    return count;
  }

  /// Numbers of the rows of step `step`, in the order of the epoch.
  std::vector<uint32_t> rows_of(int64_t step) {
    const int64_t epoch = (step - 1) / steps_per_epoch, in_epoch = (step - 1) % steps_per_epoch;
    if (epoch != order_epoch) {
      order = epoch_order(static_cast<uint64_t>(objective->num_rows()),
                          static_cast<uint64_t>(options.seed), static_cast<uint64_t>(epoch),
                          options.shuffle);
      order_epoch = epoch;
    }
    const auto begin = order.begin() + in_epoch * options.batch_size;
    return {begin, begin + options.batch_size};
  }

  /// Gradients of step `step` in the parameters' `.grad`, over all ranks.
  ObjectiveResult compute_gradients(const std::vector<uint32_t>& rows, int64_t step) {
    optimizer.clear_gradients();
    const ObjectiveResult result = objective->add_gradients(rows, step);
    if (!std::isfinite(result.loss)) refuse("loss", result.loss, result, rows, step);
    std::vector<at::Tensor> gradients;
    for (const Parameter& parameter : objective->parameters()) {
      at::Tensor& gradient = parameter.value.mutable_grad();
      if (!gradient.defined()) gradient = at::zeros_like(parameter.value);
      gradients.push_back(gradient);
    }
    group.sum(gradients);
    return result;
  }

  [[noreturn]] void refuse(const char* what, double value, const ObjectiveResult& result,
                           const std::vector<uint32_t>& rows, int64_t step) {
    constexpr size_t kMaxNamed = 8;
    // No single row's fault: say which were in the batch.
    const std::vector<uint32_t>& suspects = result.bad_rows.empty() ? rows : result.bad_rows;
    std::vector<uint64_t> lines;
    for (size_t i = 0; i < suspects.size() && lines.size() < kMaxNamed; ++i) {
      const uint64_t line = objective->line_of(suspects[i]);
      if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(line);
    }
    throw Error(fmt::format(
        "step {}: the {} is {}, expected a finite number; rows at lines {}{} of {}; "
        "nothing of this "
        "step was applied; a smaller learning rate?",
        step, what, std::isnan(value) ? "nan" : fmt::format("{}", value), fmt::join(lines, ", "),
        lines.size() == kMaxNamed ? ", …" : "", files.data.native()));
  }

  void save_checkpoint(int64_t step) {
    if (group.is_first()) {
      folder.save_checkpoint(step, options.keep_checkpoints, [&](const std::filesystem::path& to) {
        objective->save(to);
        write_tensor_file(to / "optimizer.safetensors", optimizer.state());
        const Json state = {{"step", step}, {"recipe", recipe}};
        write_file(to / "state.json", state.dump(2) + "\n");
      });
    }
    group.barrier();
  }

  void log(const StepMetrics& metrics, const Json& evaluation) {
    if (!group.is_first()) return;
    Json line = {{"step", metrics.step},
                 {"loss", metrics.loss},
                 {"lr", metrics.learning_rate},
                 {"grad_norm", metrics.grad_norm},
                 {"tokens_per_second", metrics.tokens_per_second}};
    line.update(evaluation);
    folder.add_metrics(line);
    if (callbacks.on_step) callbacks.on_step(metrics);
  }

  /// Writes the result, the curve last: where that is, a run that was finished has all.
  void finish(bool was_finished) {
    const std::filesystem::path curve = folder.path() / "loss.svg";
    if (group.is_first() && !(was_finished && std::filesystem::exists(curve))) {
      objective->write_result(folder.path());
      write_file(curve, loss_curve_svg(folder.metrics()));
    }
    group.barrier();
  }

  void say(const std::string& message) {
    if (group.is_first() && callbacks.on_message) callbacks.on_message(message);
  }
  void warn(const std::string& message) {
    if (group.is_first() && callbacks.on_warning) callbacks.on_warning(message);
  }

  TrainFiles files;
  const TrainOptions& options;
  ProcessGroup& group;
  TrainCallbacks callbacks;
  RunFolder folder;
  std::unique_ptr<Objective> objective;
  AdamW optimizer;
  Json recipe;
  int64_t steps_per_epoch = 0, num_steps = 0, next_step = 1;
  int64_t order_epoch = -1;
  std::vector<uint32_t> order;
};

Trainer::Trainer(TrainFiles files, const TrainOptions& options, ProcessGroup& group,
                 TrainCallbacks callbacks)
    : impl_(std::make_unique<Impl>(std::move(files), options, group, std::move(callbacks))) {}

Trainer::~Trainer() = default;

TrainSummary Trainer::run() {
  using Clock = std::chrono::steady_clock;
  Impl& self = *impl_;
  const TrainOptions& options = self.options;
  TrainSummary summary{.num_steps = self.num_steps, .first_step = self.next_step};
  if (summary.was_finished()) summary.last_loss = self.loss_before();
  const Clock::time_point started = Clock::now();
  for (int64_t step = self.next_step; step <= self.num_steps; ++step) {
    const Clock::time_point step_started = Clock::now();
    const std::vector<uint32_t> rows = self.rows_of(step);
    const ObjectiveResult result = self.compute_gradients(rows, step);
    const double norm =
        clip_gradients(self.objective->parameters(), options.optimizer.max_grad_norm);
    if (!std::isfinite(norm)) self.refuse("gradient's length", norm, result, rows, step);
    const double rate = learning_rate(options.optimizer, step, self.num_steps);
    self.optimizer.step(rate);

    const at::Tensor tokens = self.group.gather_rows(at::tensor({result.num_tokens}, at::kLong));
    const std::chrono::duration<double> elapsed = Clock::now() - step_started;
    const bool is_last = step == self.num_steps;
    Json evaluation = Json::object();
    if (is_last || step % options.eval_every == 0) evaluation = self.objective->evaluate();
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
  self.finish(summary.was_finished());
  summary.text_cost.seconds = std::chrono::duration<double>(Clock::now() - started).count();
  if (summary.num_pairs > 0) {
    self.objective->add_costs(summary.num_pairs, summary.text_cost, summary.picture_cost);
  }
  return summary;
}

}  // namespace e5v::detail
