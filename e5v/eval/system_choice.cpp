#include "e5v/eval/system_choice.h"

#include <cstdlib>

#include "e5v/base/error.h"
#include "e5v/families/registry.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

fs::path default_cache() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return fs::path(cache) / "e5v/embeddings";
  }
  const char* home = std::getenv("HOME");
  return home == nullptr ? fs::path() : fs::path(home) / ".cache/e5v/embeddings";
}

}  // namespace

void SystemChoice::register_options(OptionRegistry& registry) {
  registry.add("system", kind,
               {{"e5v", SystemKind::kE5v},
                {"clip", SystemKind::kClip},
                {"searle", SystemKind::kSearle},
                {"vectors", SystemKind::kVectors}},
               "What is evaluated");
  registry.add("model", embedder.model,
               "Folder of the e5v model, or of the CLIP; none = the built-in e5v model");
  registry.add("adapter", embedder.adapter, "e5v: PEFT LoRA adapter to merge on load");
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

void SystemChoice::validate() const {
  const bool is_clip = kind == SystemKind::kClip || kind == SystemKind::kSearle;
  if (is_clip && embedder.model.empty()) {
    throw ConfigError("--model is required: the CLIP folder");
  }
}

std::unique_ptr<System> SystemChoice::make() const {
  switch (kind) {
    case SystemKind::kE5v:
      return make_e5v({}, /*with_adapter=*/true);
    case SystemKind::kClip:
    case SystemKind::kSearle:
      return make_clip();
    case SystemKind::kVectors:
      return make_vectors_system(vectors);
  }
  throw_broken_invariant("kind is an enumerator", __FILE__, __LINE__);
}

std::vector<SystemVariant> SystemChoice::gap_variants() const {
  std::vector<SystemVariant> variants = {{"as it is used", "", [this] { return make(); }}};
  if (kind != SystemKind::kE5v) return variants;
  const PromptOverride last_token =
      in_chat({"last token", std::string(kTextPlaceholder), std::string(kImagePlaceholder), ""});
  variants.push_back({"without the prompt", "no_prompt",
                      [=, this] { return make_e5v(last_token, /*with_adapter=*/true); }});
  if (!embedder.adapter.empty()) {
    variants.push_back(
        {"before training", "untrained", [this] { return make_e5v({}, /*with_adapter=*/false); }});
  }
  return variants;
}

std::vector<SystemVariant> SystemChoice::prompt_variants(
    const std::vector<PromptOverride>& prompts) const {
  if (kind != SystemKind::kE5v) {
    throw ConfigError("prompts are compared of e5v models only, expected --system e5v");
  }
  std::vector<SystemVariant> variants;
  for (const PromptOverride& plain : prompts) {
    variants.push_back({plain.name, "", [used = in_chat(plain), this] {
                          return make_e5v(used, /*with_adapter=*/true);
                        }});
  }
  return variants;
}

std::unique_ptr<System> SystemChoice::make_e5v(const PromptOverride& prompts,
                                               bool with_adapter) const {
  EmbedderOptions loading = embedder;
  if (!with_adapter) loading.adapter.clear();
  loading.on_warning = on_warning;
  auto whole = make_e5v_system(loading, system_options(), prompts);
  if (composition == Composition::kWhole) return whole;
  return make_parts_system(std::move(whole), composition);
}

std::unique_ptr<System> SystemChoice::make_clip() const {
  const bool is_searle = kind == SystemKind::kSearle;
  ClipEmbedderOptions loading{.model = embedder.model,
                              .phi = is_searle ? phi : fs::path(),
                              .target_pad = target_pad,
                              .threads = embedder.threads,
                              .on_warning = on_warning};
  if (embedder.precision != Precision::kAuto) loading.precision = embedder.precision;
  return make_clip_system(loading, is_searle ? Composition::kPseudoWord : composition,
                          system_options(), searle_template);
}

SystemOptions SystemChoice::system_options() const {
  SystemOptions options;
  if (use_cache) options.cache = cache.empty() ? default_cache() : cache;
  options.text_image.font = font;
  options.on_progress = on_progress;
  return options;
}

PromptOverride SystemChoice::in_chat(const PromptOverride& plain) const {
  const ChatTemplate chat = load_architecture(embedder.model)
                                ->chat_template(embedder.model, Tokenizer::load(embedder.model));
  const auto wrap = [chat](const std::string& prompt) {
    return prompt.empty() ? prompt : apply_chat_template(chat, prompt);
  };
  return {plain.name, wrap(plain.text), wrap(plain.image), wrap(plain.composed)};
}

}  // namespace e5v::detail
