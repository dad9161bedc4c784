#include "e5v/cli/embedder_flags.h"

#include "e5v/base/progress.h"
#include "e5v/base/threads.h"
#include "e5v/embed/default_model.h"

namespace e5v::detail {

void register_precision(OptionRegistry& registry, Precision& precision,
                        const std::vector<Precision>& choices, std::string_view help) {
  std::vector<std::pair<std::string_view, Precision>> table;
  for (const Precision choice : choices) table.emplace_back(precision_name(choice), choice);
  registry.add("precision", precision, std::move(table), help);
}

void register_precision(OptionRegistry& registry, Precision& precision) {
  register_precision(
      registry, precision, precisions(),
      fmt::format("Of the matrix products; {} rounds the weights", quantized_precision_names()));
}

void EmbedderFlags::register_options(OptionRegistry& registry) {
  registry.add("model", options.model,
               "Checkpoint folder: config.json, tokenizer.json, safetensors; else E5V_MODEL or the "
               "built-in miniature");
  registry.add("adapter", options.adapter, "PEFT LoRA adapter to merge on load");
  register_precision(registry, options.precision);
  registry.add("device", options.device, "auto, cpu, cuda or cuda:N");
  registry.add("threads", options.threads, "Threads; 0 = the usable cores");
  registry.add("batch-tokens", options.batch_tokens, "Tokens of one batch at the most");
  registry.add("dimensions", options.dimensions,
               "Keep the first dimensions only and normalise again; 0 = all");
  registry.add("task", options.prepare.task,
               "Prompt set: retrieval, query, document, cirr, fashioniq-dress, fashioniq-shirt, "
               "fashioniq-toptee, sts");
  registry.add("prompt", options.prepare.prompt,
               "Whole template instead, verbatim; <image> and <sent> stand for the input");
  registry.add("image-processing", options.image_processing,
               {{"current", ImageProcessing::kCurrent}, {"4.41", ImageProcessing::k4_41}},
               "Padding rule of which transformers version");
  registry.add("min-pixels", options.min_pixels,
               "Least area of a resized picture, of models that take any size; 0 = the folder's");
  registry.add("max-pixels", options.max_pixels, "Largest area, likewise");
  registry.add("exif", options.prepare.decode.apply_exif_orientation,
               "Turn pictures as their EXIF orientation says");
  registry.add("allow-special", options.prepare.allow_special,
               "Let control tokens in texts be control tokens");
  registry.add("truncate", options.prepare.truncate,
               "Cut texts that are longer than the model allows");
}

void EmbedderFlags::choose_model() {
  if (options.model.empty()) options.model = default_model();
}

Embedder EmbedderFlags::load(const CommandContext& context) const {
  Progress progress("load", ProgressUnit::kBytes, context.quiet);
  EmbedderOptions loading = options;
  loading.threads = threads_or_cores(loading.threads);
  loading.on_load_progress = progress.callback();
  loading.on_warning = [&](const std::string& message) { context.log().warn(message); };
  return Embedder(loading);
}

}  // namespace e5v::detail
