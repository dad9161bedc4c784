#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/progress.h"
#include "e5v/base/threads.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/embedder_flags.h"
#include "e5v/cli/shared_options.h"
#include "e5v/cli/suggest.h"
#include "e5v/embed/default_model.h"
#include "e5v/eval/compare.h"
#include "e5v/eval/gap_task.h"
#include "e5v/eval/pool.h"
#include "e5v/eval/prompts_task.h"
#include "e5v/eval/protocols.h"
#include "e5v/eval/report.h"
#include "e5v/eval/system_choice.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

void require_output(const fs::path& output) {
  if (output.empty()) throw ConfigError("--output is required: the report's folder");
}

void deliver(const CommandContext& context, const fs::path& output, const TaskReport& report) {
  write_report(output, report);
  if (!report.skipped.empty()) {
    context.log().warn("partial: {} items were left out, see {}", report.skipped.size(),
                       (output / "report.md").native());
  }
  if (context.json) {
    context.print_json(results_json(report));
  } else {
    context.print(results_markdown(report));
  }
  context.log().info("{}", (output / "report.html").native());
}

/// A command that measures a system: its options, and the report that it writes.
class Measurement {
 public:
  virtual ~Measurement() = default;

  virtual void register_options(SharedOptions& registry) {
    system_.register_options(registry);
    register_precision(registry, system_.embedder.precision);
    registry.add("output", output_, "Folder of the report");
  }

  void run(const CommandContext& context) {
    require_output(output_);
    validate();
    system_.validate();
    if (system_.kind == SystemKind::kE5v && system_.embedder.model.empty()) {
      system_.embedder.model = default_model();
    }
    system_.embedder.threads = threads_or_cores(system_.embedder.threads);
    prepare_report_folder(output_);
    Progress progress("load", ProgressUnit::kItems, context.quiet);
    system_.on_progress = [&progress](const std::string& what, uint64_t done, uint64_t total) {
      progress.set_label(what);
      progress.update(done, total);
    };
    system_.on_warning = [&context](const std::string& message) {
      context.log().warn("{}", message);
    };
    const TaskReport report = measure();
    deliver(context, output_, report);
  }

 protected:
  /// Throws ConfigError.
  virtual void validate() const = 0;
  virtual TaskReport measure() const = 0;

  SystemChoice system_;

 private:
  fs::path output_;
};

/// `e5v eval run TASK`.
class ProtocolMeasurement final : public Measurement {
 public:
  explicit ProtocolMeasurement(const Protocol& protocol)
      : protocol_(protocol), evaluation_(protocol.make_evaluation()) {}

  void register_options(SharedOptions& registry) override {
    evaluation_->register_options(registry);
    Measurement::register_options(registry);
  }

 protected:
  void validate() const override { evaluation_->validate(); }
  TaskReport measure() const override {
    return run_protocol(protocol_, *evaluation_, [this] { return system_.make(); });
  }

 private:
  const Protocol& protocol_;
  std::unique_ptr<Evaluation> evaluation_;
};

/// One evaluation of each protocol, in their order.
class AnyProtocolMeasurement : public Measurement {
 public:
  AnyProtocolMeasurement() {
    for (const Protocol& protocol : protocols()) {
      evaluations_.push_back(protocol.make_evaluation());
    }
  }

  void register_options(SharedOptions& registry) override {
    for (const auto& evaluation : evaluations_) evaluation->register_options(registry);
    Measurement::register_options(registry);
  }

 protected:
  void validate() const override { evaluation().validate(); }
  virtual const Protocol& protocol() const = 0;
  const Evaluation& evaluation() const { return *evaluations_[&protocol() - protocols().data()]; }

 private:
  std::vector<std::unique_ptr<Evaluation>> evaluations_;
};

/// `e5v eval TASK`, the form before `run` was: it takes all protocols' options, whichever is asked.
class LenientMeasurement final : public AnyProtocolMeasurement {
 public:
  explicit LenientMeasurement(const Protocol& protocol) : protocol_(protocol) {}

 protected:
  const Protocol& protocol() const override { return protocol_; }
  TaskReport measure() const override {
    return run_protocol(protocol_, evaluation(), [this] { return system_.make(); });
  }

 private:
  const Protocol& protocol_;
};

/// `rest` is what stands where a task's name was expected.
[[noreturn]] void throw_unknown_task(const std::vector<std::string>& rest,
                                     const std::vector<std::string>& names) {
  const std::string given = rest.empty() ? "" : rest.front();
  if (given.empty() || given.starts_with('-')) {
    throw ConfigError(fmt::format("no task was named, expected one of {}", fmt::join(names, ", ")));
  }
  const auto meant = nearest(given, names);
  throw ConfigError(fmt::format("there is no task '{}', expected one of {}{}", printable(given),
                                fmt::join(names, ", "),
                                meant ? fmt::format("; did you mean '{}'?", *meant) : ""));
}

/// `e5v eval prompts`.
class PromptsMeasurement final : public AnyProtocolMeasurement {
 public:
  void register_options(SharedOptions& registry) override {
    registry.add("prompts", prompts_,
                 "JSON list of {name, text, image, composed}; none = the paper's ablation");
    registry.add("prompts-task", task_, "The task that each prompt is tried on");
    AnyProtocolMeasurement::register_options(registry);
  }

 protected:
  const Protocol& protocol() const override {
    const Protocol* const protocol = find_protocol(task_);
    if (protocol == nullptr) throw_unknown_task({task_}, protocol_names());
    return *protocol;
  }
  TaskReport measure() const override {
    return evaluate_prompts(
        protocol(), evaluation(),
        system_.prompt_variants(prompts_.empty() ? default_prompts() : load_prompts(prompts_)));
  }

 private:
  fs::path prompts_;
  std::string task_ = "retrieval";
};

/// `e5v eval gap`.
class GapMeasurement final : public Measurement {
 public:
  void register_options(SharedOptions& registry) override {
    data_.register_options(registry);
    Measurement::register_options(registry);
  }

 protected:
  void validate() const override { data_.validate(); }
  TaskReport measure() const override {
    RetrievalSet set = load_gap(data_);
    return evaluate_gap(system_.gap_variants(), std::move(set), data_.on_missing);
  }

 private:
  DataOptions data_{"test"};
};

/// Parses the options that stand before the task's name: `parent` let them pass.
void parse_options_before(const CLI::App& parent, Measurement& measurement) {
  std::vector<std::string> arguments = parent.remaining();
  if (arguments.empty()) return;
  CLI::App command;
  SharedOptions registry{Command(command)};
  measurement.register_options(registry);
  std::reverse(arguments.begin(), arguments.end());  // the order that CLI11 takes
  command.parse(std::move(arguments));
  registry.copy_given();
}

void refuse_options_before(const CLI::App& command) {
  if (command.remaining_size() > 0) {
    throw CLI::ExtrasError(command.get_name(), command.remaining());
  }
}

/// Makes `command` run the measurement. `parents` are the commands that it is below.
void set_up(Command command, const std::vector<const CLI::App*>& parents, CommandContext& context,
            std::shared_ptr<Measurement> measurement) {
  auto registry = std::make_shared<SharedOptions>(command);
  measurement->register_options(*registry);
  command.set_callback([parents, &context, registry, measurement] {
    for (const CLI::App* parent : parents) parse_options_before(*parent, *measurement);
    registry->copy_given();
    measurement->run(context);
  });
}

/// What the help of `e5v eval run TASK` says above its example.
std::string about(const Protocol& protocol) {
  std::string text = "Data:\n";
  const std::string_view layout = protocol.data_layout;
  for (size_t at = 0; at < layout.size();) {
    const size_t end = std::min(layout.find('\n', at), layout.size());
    text += fmt::format("  {}\n", layout.substr(at, end - at));
    at = end + 1;
  }
  text += fmt::format("Metrics:\n  {}\n", protocol.metrics);
  for (const PublishedFigures& figures : protocol.published) {
    std::vector<std::string> shown;
    for (const auto& [metric, value] : figures.metrics) {
      shown.push_back(fmt::format("{} {}", metric, value));
    }
    text += fmt::format("Published for {}:\n  {}\n", figures.system, fmt::join(shown, ", "));
  }
  if (!protocol.note_on_published.empty()) text += fmt::format("{}\n", protocol.note_on_published);
  return text;
}

Command add_task(CLI::App& parent, CommandContext& context, const Protocol& protocol) {
  const Command task =
      add_command(parent, context, std::string(protocol.name), std::string(protocol.summary),
                  fmt::format("e5v eval run {} --model DIR --data {} --output report/",
                              protocol.name, protocol.example_data));
  task.app().footer(about(protocol) + task.app().get_footer());
  return task;
}

void add_run(CLI::App& eval, CommandContext& context) {
  const Command command = add_command(
      eval, context, "run", "Measure a system on a task: e5v eval run TASK",
      "e5v eval run flickr30k --model DIR --data flickr30k/ --output report/\n"
      "e5v eval run cirr --system searle --model clip-vit-large-patch14 --phi phi.safetensors "
      "--data cirr/ --output searle/\n"
      "e5v eval run retrieval --system vectors --text-vectors t.npy --image-vectors i.npy "
      "--data captions.tsv --output other/\n"
      "e5v eval run TASK --help shows a task's data and options.");
  CLI::App* const run = &command.app();
  for (const Protocol& protocol : protocols()) {
    set_up(add_task(*run, context, protocol), {&eval, run}, context,
           std::make_shared<ProtocolMeasurement>(protocol));
  }
  run->allow_extras();  // names that are no task come to the callback
  run->require_subcommand(0, 1);
  run->callback([run] {
    if (!run->get_subcommands().empty()) return;
    throw_unknown_task(run->remaining(), protocol_names());
  });
}

void add_old_forms(CLI::App& eval, CommandContext& context) {
  for (const Protocol& protocol : protocols()) {
    const Command task = add_task(eval, context, protocol);
    task.app().group("");  // not in the help
    set_up(task, {&eval}, context, std::make_shared<LenientMeasurement>(protocol));
  }
}

void add_compare(CLI::App& eval, CommandContext& context) {
  Command command = add_command(eval, context, "compare", "Reports side by side, with differences",
                                "e5v eval compare report/ other/");
  auto reports = std::make_shared<std::vector<fs::path>>();
  command.add_argument("reports", *reports, "Folders of reports of the same task");
  command.set_callback([&eval, &context, reports] {
    refuse_options_before(eval);
    const Comparison comparison = compare_reports(*reports);
    if (context.json) {
      context.print_json(comparison.to_json());
    } else {
      context.print(comparison.to_markdown());
    }
  });
}

void add_pool(CLI::App& eval, CommandContext& context) {
  Command command = add_command(eval, context, "pool",
                                "One report of several of the same task and system (seeds, halves)",
                                "e5v eval pool seed-1/ seed-2/ seed-3/ --output pooled/");
  struct Options {
    std::vector<fs::path> reports;
    fs::path output;
  };
  auto options = std::make_shared<Options>();
  command.add_argument("reports", options->reports, "Folders of reports");
  command.add("output", options->output, "Folder of the pooled report");
  command.set_callback([&eval, &context, options] {
    refuse_options_before(eval);
    require_output(options->output);
    prepare_report_folder(options->output);
    deliver(context, options->output, pool_reports(options->reports));
  });
}

}  // namespace

void register_eval(CLI::App& app, CommandContext& context) {
  const Command command = add_command(
      app, context, "eval", "Measure a model as the paper does, or compare reports",
      "e5v eval run flickr30k --model DIR --data flickr30k/ --output report/\n"
      "e5v eval run sts --model DIR --adapter run/adapter --data SentEval/data/downstream/STS "
      "--output sts/\n"
      "e5v eval gap --model DIR --adapter run/adapter --data flickr30k/ --output gap/\n"
      "e5v eval prompts --model DIR --prompts-task sts --data SentEval/data/downstream/STS "
      "--output prompts/\n"
      "e5v eval compare report/ other/\n"
      "e5v eval pool seed-1/ seed-2/ seed-3/ --output pooled/");
  CLI::App* const eval = &command.app();
  add_run(*eval, context);
  set_up(
      add_command(*eval, context, "gap", "Distance between the vectors of pictures and texts",
                  "e5v eval gap --model DIR --adapter run/adapter --data flickr30k/ --output gap/"),
      {eval}, context, std::make_shared<GapMeasurement>());
  set_up(add_command(*eval, context, "prompts", "One task under several prompts",
                     "e5v eval prompts --model DIR --data flickr30k/ --output prompts/\n"
                     "e5v eval prompts --model DIR --prompts-task sts --prompts mine.json --data "
                     "SentEval/data/downstream/STS --output prompts/"),
         {eval}, context, std::make_shared<PromptsMeasurement>());
  add_compare(*eval, context);
  add_pool(*eval, context);
  add_old_forms(*eval, context);
  eval->allow_extras();  // names that are no command come to the callback
  eval->require_subcommand(0, 1);
  eval->callback([eval] {
    if (!eval->get_subcommands().empty()) return;
    std::vector<std::string> names = {"run", "gap", "prompts", "compare", "pool"};
    for (std::string& name : protocol_names()) names.push_back(std::move(name));
    throw_unknown_task(eval->remaining(), names);
  });
}

}  // namespace e5v::detail
