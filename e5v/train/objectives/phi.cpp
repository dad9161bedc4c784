#include "e5v/train/objectives/phi.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/random.h"
#include "e5v/embed/clip_embedder.h"
#include "e5v/train/contrastive_loss.h"
#include "e5v/train/evaluation.h"
#include "e5v/train/grad_cache.h"
#include "e5v/train/trained_parameters.h"
#include "e5v/train/whole_batch.h"

namespace e5v::detail {
namespace {

constexpr const char* kTemplate = "a photo of $";
constexpr int64_t kTextsAtOnce = 256;

/// Gives a Linear the weights that torch begins with, uniform within ± 1/√in, from `seed`.
class LinearInitializer final : public ParameterVisitor {
 public:
  explicit LinearInitializer(uint64_t seed) : random_(mix64(seed)) {}

  void tensor(const std::string&, at::Tensor&, at::IntArrayRef) override {}
  void linear(const std::string&, Linear& linear) override {
    const float bound = 1 / std::sqrt(static_cast<float>(linear.in_features()));
    linear.set_weight(make_master_storage(draw(linear.checkpoint_shape(), bound)));
    if (linear.has_bias()) linear.set_bias(draw({linear.out_features()}, bound));
  }

 private:
  at::Tensor draw(at::IntArrayRef shape, float bound) {
    at::Tensor values = at::empty(shape, at::kFloat);
    auto* value = values.data_ptr<float>();
    for (int64_t i = 0; i < values.numel(); ++i) {
      const auto unit = static_cast<float>(random_.next() >> 40) / static_cast<float>(1 << 24);
      value[i] = bound * (2 * unit - 1);
    }
    return values;
  }

  SplitMix64 random_;
};

std::unique_ptr<Clip> load_frozen(const std::filesystem::path& model_dir,
                                  const PhiTrainOptions& options) {
  LoadOptions load;
  load.precision = options.base_precision;
  load.pack = false;  // gradients go through the text tower
  return load_clip(model_dir, load);
}

}  // namespace

PhiTrainOptions::PhiTrainOptions() {
  batch_size = 256;
  micro_batch_size = 64;
  epochs = 50;
  optimizer.learning_rate = 1e-4;
  optimizer.warmup_steps = 100;
  optimizer.schedule = Schedule::kCosine;
  optimizer.weight_decay = 0.01;
}

void PhiTrainOptions::register_options(OptionRegistry& registry) {
  TrainOptions::register_options(registry);
  registry.add("base-precision", base_precision,
               {{"fp32", Precision::kFloat32}, {"bf16", Precision::kBFloat16}},
               "What CLIP computes in");
  registry.add("temperature", temperature, "Cosines are divided by it; 0 = the CLIP's own");
  registry.add("phi-hidden-size", hidden_size,
               "Width of the inner layers; 0 = four times the features'");
  registry.add("phi-dropout", dropout, "Share of the inner layers' outputs that is dropped");
  registry.add("concepts", concepts,
               "Concepts, one a line, with phrases about them after tabs; none = everyday things");
  registry.add("concepts-per-picture", concepts_per_picture,
               "A picture's concept is one of so many that lie nearest to it");
  registry.add("concept-weight", concept_weight, "Weight of the concepts' loss; 0 = none");
}

void PhiTrainOptions::validate() const {
  TrainOptions::validate();
  if (!(temperature >= 0) || !std::isfinite(temperature)) {
    throw ConfigError(fmt::format("'temperature' is {}, expected 0 or more", temperature));
  }
  if (hidden_size < 0 || hidden_size > 65536) {
    throw ConfigError(fmt::format("'phi_hidden_size' is {}, expected 0 to 65536", hidden_size));
  }
  if (!(dropout >= 0 && dropout < 1)) {
    throw ConfigError(fmt::format("'phi_dropout' is {}, expected 0 or more and below 1", dropout));
  }
  if (concepts_per_picture < 1) {
    throw ConfigError(
        fmt::format("'concepts_per_picture' is {}, expected 1 or more", concepts_per_picture));
  }
  if (!(concept_weight >= 0) || !std::isfinite(concept_weight)) {
    throw ConfigError(fmt::format("'concept_weight' is {}, expected 0 or more", concept_weight));
  }
}

std::unique_ptr<Objective> PhiTrainOptions::open(const TrainFiles& files, ProcessGroup& group,
                                                 const ObjectiveCallbacks& callbacks) const {
  return std::make_unique<PhiObjective>(files, *this, group, callbacks);
}

double PhiTrainOptions::flops_per_token(const std::filesystem::path&) const {
  // Features of pictures, which come first, gain from every core however small the model.
  return std::numeric_limits<double>::infinity();
}

PhiObjective::PhiObjective(const TrainFiles& files, const PhiTrainOptions& options,
                           const ProcessGroup& group, const ObjectiveCallbacks& callbacks)
    : options_(options),
      tokenizer_(Tokenizer::load(files.model)),
      image_processor_(ImageProcessor::load(files.model)),
      clip_(load_frozen(files.model, options)),
      dropout_(options.dropout) {
  if (!files.adapter.empty()) throw ConfigError("--adapter is given, but φ takes none");
  if (group.size() > 1) throw ConfigError("φ is trained by one process, not several");
  if (options.batch_size < 2) {
    throw ConfigError("'batch_size' is 1: nothing to tell apart; expected 2 or more");
  }
  template_ids_ = pseudo_word_ids(kTemplate);
  if (has_concepts()) {
    concepts_ = options.concepts.empty() ? everyday_concepts() : read_concepts(options.concepts);
    for (const Concept& one : concepts_) {
      for (const std::string& phrase : one.phrases) pseudo_word_ids(phrase);
    }
  }
  const auto features_of = [&](const std::filesystem::path& pictures, const char* name) {
    return compute_picture_features(
        pictures, *clip_, image_processor_,
        {.cache = files.output.empty() ? files.output : files.output / name,
         .on_bad_picture = files.on_bad_row,
         .on_progress = callbacks.on_progress,
         .on_warning = callbacks.on_warning});
  };
  pictures_ = features_of(files.data, "features.bin");
  if (!files.eval_data.empty()) {
    eval_pictures_ = features_of(files.eval_data, "eval_features.bin");
  }
  if (has_concepts()) find_nearest_concepts();

  const ClipConfig& config = clip_->config();
  const int64_t hidden = options.hidden_size > 0 ? options.hidden_size : 4 * config.projection_dim;
  phi_ = std::make_unique<SearlePhi>(config.projection_dim, hidden, config.text.hidden_size);
  LinearInitializer initializer(static_cast<uint64_t>(options.seed));
  phi_->visit_parameters(initializer);
  ParameterCollector collector([](const std::string&) { return true; });
  phi_->visit_parameters(collector);
  parameters_ = std::move(collector.parameters);
}

std::vector<int64_t> PhiObjective::input_ids(std::string_view text) const {
  return clip_input_ids(tokenizer_, text, clip_->config().text.max_position_embeddings);
}

std::vector<int64_t> PhiObjective::pseudo_word_ids(std::string_view text) const {
  std::vector<int64_t> ids = input_ids(text);
  const auto place = tokenizer_.token_to_id("$</w>");
  const auto found = place ? std::find(ids.begin(), ids.end(), *place) : ids.end();
  if (found == ids.end()) {
    throw InputError(fmt::format("'{}' has no '$' by itself among its first {} tokens",
                                 printable(text), ids.size()));
  }
  *found = ClipTextBatch::kPseudoWord;
  return ids;
}

at::Tensor PhiObjective::text_features(const std::vector<std::string>& texts) const {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> features;
  for (size_t at = 0; at < texts.size(); at += kTextsAtOnce) {
    std::vector<std::vector<int64_t>> ids;
    for (size_t i = at; i < std::min(at + kTextsAtOnce, texts.size()); ++i) {
      ids.push_back(input_ids(texts[i]));
    }
    features.push_back(clip_->encode_text(ClipTextBatch::of(ids)));
  }
  return at::cat(features);
}

void PhiObjective::find_nearest_concepts() {
  const at::NoGradGuard no_grad;
  std::vector<std::string> texts;
  for (const Concept& one : concepts_) texts.push_back(fill_phrase(kTemplate, one.name));
  const at::Tensor names = normalized(text_features(texts)).t();  // [P, concepts]
  const int64_t k = std::min<int64_t>(options_.concepts_per_picture, names.size(1));
  constexpr int64_t kPicturesAtOnce = 4096;
  std::vector<at::Tensor> nearest;
  for (int64_t at = 0; at < num_rows(); at += kPicturesAtOnce) {
    const at::Tensor some = pictures_.features.slice(0, at, at + kPicturesAtOnce);
    nearest.push_back(std::get<1>(at::matmul(normalized(some), names).topk(k)));
  }
  nearest_concepts_ = at::cat(nearest);
}

PhiObjective::Draw PhiObjective::draw(uint32_t row, int64_t step) const {
  SplitMix64 random(mix64(mix64(static_cast<uint64_t>(options_.seed)) ^
                          mix64((static_cast<uint64_t>(step) << 32) ^ row)));
  const auto k = static_cast<uint64_t>(nearest_concepts_.size(1));
  const auto index = nearest_concepts_[row][static_cast<int64_t>(random.below(k))].item<int64_t>();
  const Concept& drawn = concepts_[static_cast<size_t>(index)];
  const std::string& phrase = drawn.phrases[random.below(drawn.phrases.size())];
  return {phrase, fill_phrase(phrase, drawn.name)};
}

at::Tensor PhiObjective::logit_scale() const {
  return options_.temperature > 0 ? at::scalar_tensor(-std::log(options_.temperature), at::kFloat)
                                  : clip_->logit_scale().to(at::kFloat);
}

at::Tensor PhiObjective::pseudo_words(const at::Tensor& features, const at::Tensor& keys) const {
  if (!keys.defined()) return phi_->forward(features);
  dropout_.begin(keys, keys);
  return phi_->forward(features, &dropout_);
}

ObjectiveResult PhiObjective::add_gradients(const std::vector<uint32_t>& rows, int64_t step) {
  const auto B = static_cast<int64_t>(rows.size()), M = options_.micro_batch_size;
  std::vector<int64_t> indices, keys;
  std::vector<std::vector<int64_t>> phrase_ids;
  std::vector<std::string> sentences;
  for (const uint32_t row : rows) {
    indices.push_back(row);
    keys.push_back(static_cast<int64_t>(mix64(mix64(static_cast<uint64_t>(options_.seed) + 1) ^
                                              mix64((static_cast<uint64_t>(step) << 32) ^ row))));
    if (!has_concepts()) continue;
    Draw one = draw(row, step);
    phrase_ids.push_back(pseudo_word_ids(one.phrase));
    sentences.push_back(std::move(one.sentence));
  }
  const at::Tensor images = pictures_.features.index_select(0, at::tensor(indices, at::kLong));
  const at::Tensor row_keys = at::tensor(keys, at::kLong);
  const at::Tensor targets = has_concepts() ? normalized(text_features(sentences)) : at::Tensor();
  const int64_t P = clip_->config().projection_dim;

  ObjectiveResult step_result;
  for (const auto& ids : phrase_ids) step_result.num_tokens += static_cast<int64_t>(ids.size());
  step_result.num_tokens += B * static_cast<int64_t>(template_ids_.size());
  // Of a micro-batch's rows "a photo of $" and, beside it, the drawn phrase: [n, P or 2 P].
  const auto encode = [&](int64_t i) {
    const int64_t begin = i * M, end = std::min(begin + M, B);
    const at::Tensor words =
        pseudo_words(images.slice(0, begin, end), row_keys.slice(0, begin, end));
    std::vector<std::vector<int64_t>> texts(static_cast<size_t>(end - begin), template_ids_);
    if (!has_concepts()) {
      ClipTextBatch batch = ClipTextBatch::of(texts);
      batch.pseudo_words = words;
      return clip_->encode_text(batch);
    }
    texts.insert(texts.end(), phrase_ids.begin() + begin, phrase_ids.begin() + end);
    ClipTextBatch batch = ClipTextBatch::of(texts);
    batch.pseudo_words = at::cat({words, words});
    const at::Tensor features = clip_->encode_text(batch);
    return at::cat({features.slice(0, 0, end - begin), features.slice(0, end - begin)}, 1);
  };
  const at::Tensor scale = logit_scale();
  const auto loss = [&](const at::Tensor& features) {
    const at::Tensor contrastive = clip_loss(images, features.slice(1, 0, P), scale);
    if (!has_concepts()) return contrastive;
    const at::Tensor cosines = (normalized(features.slice(1, P)) * targets).sum(1);
    return contrastive + options_.concept_weight * (1 - cosines).mean();
  };
  ProcessGroup alone;
  const BatchResult result = accumulate_gradients((B + M - 1) / M, encode, loss, alone);
  step_result.loss = result.loss;
  step_result.bad_rows = rows_not_finite(result.embeddings, rows);
  return step_result;
}

Json PhiObjective::evaluate() {
  if (!eval_pictures_) return Json::object();
  const at::Tensor& features = eval_pictures_->features;
  return mean_over_batches(features.size(0), options_, [&](const std::vector<uint32_t>& rows) {
    const at::Tensor images = features.slice(0, rows.front(), rows.back() + 1);
    ClipTextBatch batch =
        ClipTextBatch::of(std::vector<std::vector<int64_t>>(rows.size(), template_ids_));
    batch.pseudo_words = pseudo_words(images, {});
    const at::Tensor texts = clip_->encode_text(batch);
    const at::Tensor cosines = at::matmul(normalized(texts), normalized(images).t());
    return Json{{"eval_loss", clip_loss(images, texts, logit_scale()).item<double>()},
                {"eval_recall_at_1", recall_at_1(cosines)},
                {"eval_cosine", cosines.diagonal().mean().item<double>()}};
  });
}

void PhiObjective::add_costs(int64_t, TrainingCost& cost, std::optional<TrainingCost>&) const {
  const bool cached = options_.batch_size > options_.micro_batch_size;
  cost.flops =
      clip_flops(clip_->config(), cost.tokens, 0, {.forward = 1 + (cached ? 1 : 0), .backward = 1});
}

int64_t PhiObjective::num_weight_bytes() const {
  ByteCounter counter;
  clip_->visit_parameters(counter);
  phi_->visit_parameters(counter);
  return counter.bytes;
}

void PhiObjective::save(const std::filesystem::path& folder) const {
  save_parameters(folder / "phi.safetensors", parameters_);
}

void PhiObjective::load(const std::filesystem::path& folder) {
  load_parameters_of(parameters_, folder / "phi.safetensors");
}

void PhiObjective::write_result(const std::filesystem::path& folder) const { save(folder); }

ObjectiveType phi_objective() {
  return {.name = "phi",
          .summary = "SEARLE's network of pseudo-words, for a CLIP folder",
          .data = "pictures without texts: a folder, or .jsonl with \"image\"",
          .make_options = []() -> std::unique_ptr<TrainOptions> {
            return std::make_unique<PhiTrainOptions>();
          }};
}

}  // namespace e5v::detail
