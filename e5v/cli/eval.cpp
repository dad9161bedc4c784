#include "e5v/cli/commands.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/progress.h"
#include "e5v/cli/default_model.h"
#include "e5v/cli/embedder_flags.h"
#include "e5v/eval/gap_task.h"
#include "e5v/eval/report.h"
#include "e5v/eval/tasks.h"
#include "e5v/families/registry.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;

enum class SystemKind { kE5v, kClip, kSearle, kVectors };

/// Where vectors are kept if nothing else is said: XDG's cache folder.
fs::path default_cache() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return fs::path(cache) / "e5v/embeddings";
  }
  const char* home = std::getenv("HOME");
  return home == nullptr ? fs::path() : fs::path(home) / ".cache/e5v/embeddings";
}

struct EvalCommand {
  TaskOptions task;
  std::vector<fs::path> reports;  ///< of compare
  fs::path output;
  SystemKind system = SystemKind::kE5v;
  EmbedderOptions embedder;
  fs::path phi;
  Composition composition = Composition::kWhole;
  std::string searle_template = SystemOptions().searle_template;
  double target_pad = 0;
  VectorFiles vectors;
  fs::path cache;
  bool use_cache = true;
  fs::path font;
  fs::path prompts;
  std::string prompts_task = "retrieval";

  void register_options(CliOptionRegistry& registry);
  void run(const CommandContext& context);

 private:
  SystemOptions system_options(Progress& progress) const;
  std::unique_ptr<System> make_system(const CommandContext& context, Progress& progress,
                                      const PromptOverride& prompts, bool with_adapter) const;
  /// The prompt as the model's chat has it.
  PromptOverride in_chat(const PromptOverride& prompts) const;
  TaskReport evaluate(const CommandContext& context, Progress& progress);
  void compare(const CommandContext& context) const;
  void check() const;
};

void EvalCommand::register_options(CliOptionRegistry& registry) {
  registry.add("system", system,
               {{"e5v", SystemKind::kE5v},
                {"clip", SystemKind::kClip},
                {"searle", SystemKind::kSearle},
                {"vectors", SystemKind::kVectors}},
               "What is evaluated");
  registry.add("model", embedder.model,
               "Folder of the e5v model, or of the CLIP; none = the built-in e5v model");
  registry.add("adapter", embedder.adapter, "e5v: PEFT LoRA adapter to merge on load");
  task.register_options(registry);
  registry.add("output", output, "Folder of the report");
  registry.add("prompts", prompts, "prompts: JSON list of {name, text, image, composed}");
  registry.add("prompts-task", prompts_task, "prompts: the task that each prompt is tried on");
  registry.add("phi", phi, "searle: weights of the textual inversion network (.safetensors)");
  registry.add(
      "composition", composition,
      {{"whole", Composition::kWhole},
       {"sum", Composition::kSum},
       {"image", Composition::kImage},
       {"text", Composition::kText}},
      "e5v, clip: what a query of a picture and a text is; whole = e5v's prompt, CLIP's sum");
  registry.add("searle-template", searle_template,
               "searle: the sentence; $ is the picture's word, <sent> the text");
  registry.add("target-pad", target_pad,
               "clip, searle: pad pictures to this ratio of sides; 0 = do not, SEARLE has 1.25");
  registry.add("text-vectors", vectors.texts,
               "vectors: .npy of the texts, in the data set's order");
  registry.add("image-vectors", vectors.images, "vectors: .npy of the pictures");
  registry.add("query-vectors", vectors.queries, "vectors: .npy of the composed queries");
  registry.add("cache", cache, "Folder where vectors are kept for the next run");
  registry.add("cached", use_cache, "Keep vectors, and use those that are there");
  registry.add("font", font, "i2i: TrueType font of Arial's metrics");
  register_precision(registry, embedder.precision);
  registry.add("device", embedder.device, "e5v: auto, cpu, cuda or cuda:N");
  registry.add("threads", embedder.threads, "Threads; 0 = the usable cores");
  registry.add("batch-tokens", embedder.batch_tokens, "e5v: tokens of one batch at the most");
  registry.add("dimensions", embedder.dimensions, "e5v: keep the first dimensions only; 0 = all");
  registry.add("image-processing", embedder.image_processing,
               {{"current", ImageProcessing::kCurrent}, {"4.41", ImageProcessing::k4_41}},
               "e5v: padding rule; the paper's figures are of 4.41");
  registry.add("truncate", embedder.prepare.truncate,
               "e5v: cut texts that are longer than the model allows");
}

SystemOptions EvalCommand::system_options(Progress& progress) const {
  SystemOptions options;
  if (use_cache) options.cache = cache.empty() ? default_cache() : cache;
  options.text_image.font = font;
  options.searle_template = searle_template;
  options.on_progress = [&progress](const std::string& what, uint64_t done, uint64_t total) {
    progress.set_label(what);
    progress.update(done, total);
  };
  return options;
}

std::unique_ptr<System> EvalCommand::make_system(const CommandContext& context, Progress& progress,
                                                 const PromptOverride& prompts_used,
                                                 bool with_adapter) const {
  const SystemOptions options = system_options(progress);
  const auto warn = [&context](const std::string& message) { context.log().warn("{}", message); };
  switch (system) {
    case SystemKind::kE5v: {
      EmbedderOptions loading = embedder;
      if (!with_adapter) loading.adapter.clear();
      loading.on_warning = warn;
      auto whole = make_e5v_system(loading, options, prompts_used);
      if (composition == Composition::kWhole) return whole;
      return make_parts_system(std::move(whole), composition);
    }
    case SystemKind::kClip:
    case SystemKind::kSearle: {
      const bool is_searle = system == SystemKind::kSearle;
      ClipEmbedderOptions loading{.model = embedder.model,
                                  .phi = is_searle ? phi : fs::path(),
                                  .target_pad = target_pad,
                                  .threads = embedder.threads,
                                  .on_warning = warn};
      if (embedder.precision != Precision::kAuto) loading.precision = embedder.precision;
      return make_clip_system(loading, is_searle ? Composition::kPseudoWord : composition, options);
    }
    case SystemKind::kVectors:
      return make_vectors_system(vectors);
  }
  throw_broken_invariant("system is an enumerator", __FILE__, __LINE__);
}

PromptOverride EvalCommand::in_chat(const PromptOverride& plain) const {
  const ChatTemplate chat =
      load_architecture(embedder.model)->chat_template(Tokenizer::load(embedder.model));
  const auto wrap = [chat](const std::string& prompt) {
    return prompt.empty() ? prompt : apply_chat_template(chat, prompt);
  };
  return {plain.name, wrap(plain.text), wrap(plain.image), wrap(plain.composed)};
}

TaskReport EvalCommand::evaluate(const CommandContext& context, Progress& progress) {
  const auto maker = [&](const PromptOverride& used, bool with_adapter) {
    return [this, &context, &progress, used, with_adapter] {
      return make_system(context, progress, used, with_adapter);
    };
  };
  if (task.task == "gap") {
    TaskOptions data = task;
    data.task = "retrieval";
    data.validate();
    std::vector<SystemVariant> variants = {{"as it is used", "", maker({}, true)}};
    if (system == SystemKind::kE5v) {
      const PromptOverride last_token = in_chat(
          {"last token", std::string(kTextPlaceholder), std::string(kImagePlaceholder), ""});
      variants.push_back({"without the prompt", "no_prompt", maker(last_token, true)});
      if (!embedder.adapter.empty()) {
        variants.push_back({"before training", "untrained", maker({}, false)});
      }
    }
    RetrievalSet set = load_retrieval({.path = data.data,
                                       .images = data.images,
                                       .split = data.split.empty() ? "test" : data.split,
                                       .captions_per_image = 1});
    return evaluate_gap(variants, std::move(set), data.on_missing);
  }
  if (task.task == "prompts") {
    if (system != SystemKind::kE5v) throw ConfigError("only e5v models have prompts to be tried");
    std::vector<NamedSystem> variants;
    for (const PromptOverride& plain :
         prompts.empty() ? default_prompts() : load_prompts(prompts)) {
      variants.push_back({plain.name, maker(in_chat(plain), true)});
    }
    TaskOptions tried = task;
    tried.task = prompts_task;
    return run_variants(tried, variants);
  }
  return run_task(task, maker({}, true));
}

void EvalCommand::check() const {
  if (output.empty()) throw ConfigError("--output is required: the report's folder");
  if (task.data.empty()) throw ConfigError("--data is required: the data set's folder");
  const bool has_default = system == SystemKind::kE5v || system == SystemKind::kVectors;
  if (!has_default && embedder.model.empty()) {
    throw ConfigError("--model is required: the CLIP folder");
  }
  if (task.task != "gap" && task.task != "prompts") task.validate();
}

void EvalCommand::compare(const CommandContext& context) const {
  const Comparison comparison = compare_reports(reports);
  if (context.json) {
    context.print_json(comparison.to_json());
  } else {
    context.print(comparison.to_markdown());
  }
}

void EvalCommand::run(const CommandContext& context) {
  if (task.task == "compare") return compare(context);
  const bool pools = task.task == "pool";
  if (!reports.empty() && !pools) {
    throw ConfigError("only compare and pool take folders of reports");
  }
  if (pools && output.empty()) throw ConfigError("--output is required: the report's folder");
  if (!pools) {
    check();
    if (system == SystemKind::kE5v && embedder.model.empty()) embedder.model = default_model();
  }
  prepare_report_folder(output);
  TaskReport report;
  if (pools) {
    report = pool_reports(reports);
  } else {
    Progress progress("load", ProgressUnit::kItems, context.quiet);
    report = evaluate(context, progress);
  }
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

}  // namespace

void register_eval(CLI::App& app, CommandContext& context) {
  CLI::App* command = add_command(
      app, context, "eval", "Measure a model as the paper does, or compare reports",
      "e5v eval flickr30k --model DIR --data flickr30k/ --output report/\n"
      "e5v eval cirr --system searle --model clip-vit-large-patch14 --phi phi.safetensors "
      "--data cirr/ --output searle/\n"
      "e5v eval sts --model DIR --adapter run/adapter --data SentEval/downstream/STS --output "
      "sts/\n"
      "e5v eval retrieval --system vectors --text-vectors t.npy --image-vectors i.npy "
      "--data captions.tsv --output other/\n"
      "e5v eval compare report/ other/\n"
      "e5v eval pool seed-1/ seed-2/ seed-3/ --output pooled/\n"
      "\n"
      "Tasks: flickr30k, coco, i2i-flickr30k, i2i-coco, retrieval, i2i, cirr, fashioniq, circo,\n"
      "sts, gap (the modality gap), prompts (one task under several prompts); of reports: "
      "compare,\n"
      "pool (one report of several seeds).");
  auto eval = std::make_shared<EvalCommand>();
  command->add_option("task", eval->task.task, "What to measure, or compare")->required();
  command->add_option("reports", eval->reports, "compare, pool: folders of reports");
  CliOptionRegistry registry(*command);
  eval->register_options(registry);
  command->callback([eval, &context] { eval->run(context); });
}

}  // namespace e5v
