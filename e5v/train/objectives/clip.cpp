#include "e5v/train/objectives/clip.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/embed/clip_embedder.h"
#include "e5v/image/decode.h"
#include "e5v/model/load_parameters.h"
#include "e5v/train/contrastive_loss.h"
#include "e5v/train/evaluation.h"
#include "e5v/train/grad_cache.h"
#include "e5v/train/trained_parameters.h"
#include "e5v/train/whole_batch.h"

namespace e5v::detail {
namespace {

/// Cosines are multiplied by 100 at the most: more made the training of the paper's unstable.
const double kMaxLogitScale = std::log(100.0);

bool is_picture(const TripletItem& item) { return !item.image.empty() && item.text.empty(); }
bool is_text(const TripletItem& item) { return item.image.empty(); }

/// Every row must be a picture and a text, and every picture there.
void check_rows(const TripletFile& file) {
  uint64_t num_missing = 0;
  std::filesystem::path first_missing;
  for (uint64_t i = 0; i < file.size(); ++i) {
    const auto [anchor, positive, negatives] = file.row(i);
    const bool is_pair =
        (is_picture(anchor) && is_text(positive)) || (is_text(anchor) && is_picture(positive));
    if (!is_pair || !negatives.empty()) {
      throw FormatError(file.path().native(),
                        fmt::format("line {}: expected a picture and a text, one as anchor and one "
                                    "as positive, and no hard negatives",
                                    file.line_of(i)));
    }
    const std::filesystem::path& image = anchor.image.empty() ? positive.image : anchor.image;
    if (std::filesystem::exists(image)) continue;
    if (num_missing++ == 0) first_missing = image;
  }
  if (num_missing == 0) return;
  throw ConfigError(fmt::format("{}: {} of {} pictures are missing, the first is {}",
                                file.path().native(), num_missing, file.size(),
                                first_missing.native()));
}

bool is_trained(const std::string& name, const ClipTrainOptions& options) {
  const auto begins_with = [&](const char* prefix) { return name.starts_with(prefix); };
  const auto trains = [&](const char* part) {
    return std::find(options.trainable.begin(), options.trainable.end(), part) !=
           options.trainable.end();
  };
  if (begins_with("text_model.") || begins_with("text_projection")) return trains("text_tower");
  if (begins_with("vision_model.") || begins_with("visual_projection")) {
    return trains("vision_tower");
  }
  return name == "logit_scale";
}

std::unique_ptr<Clip> load_for_training(const std::filesystem::path& model_dir,
                                        const ClipTrainOptions& options) {
  LoadOptions load;
  load.precision = options.base_precision;
  load.pack = false;
  load.make_storage = [&](const std::string& name,
                          const at::Tensor& weight) -> std::unique_ptr<LinearStorage> {
    return is_trained(name, options) ? make_master_storage(weight) : nullptr;
  };
  return load_clip(model_dir, load);
}

}  // namespace

void ClipTrainOptions::register_options(OptionRegistry& registry) {
  TrainOptions::register_options(registry);
  registry.add("trainable", trainable, "text_tower, vision_tower, each with its projection");
  registry.add("base-precision", base_precision,
               {{"fp32", Precision::kFloat32}, {"bf16", Precision::kBFloat16}},
               "What products are computed in");
}

void ClipTrainOptions::validate() const {
  TrainOptions::validate();
  validate_trainable(trainable, {"text_tower", "vision_tower"});
}

std::unique_ptr<Objective> ClipTrainOptions::open(const TrainFiles& files, ProcessGroup& group,
                                                  const ObjectiveCallbacks& callbacks) const {
  return std::make_unique<ClipObjective>(files, *this, group, callbacks);
}

double ClipTrainOptions::flops_per_token(const std::filesystem::path& model_dir) const {
  return clip_flops(ClipConfig::load(model_dir), 0, 1, {.forward = 1, .backward = 0});
}

ClipObjective::ClipObjective(const TrainFiles& files, const ClipTrainOptions& options,
                             ProcessGroup& group, const ObjectiveCallbacks& callbacks)
    : model_dir_(files.model),
      options_(options),
      group_(group),
      data_(files.data, files.on_bad_row, callbacks.on_warning),
      tokenizer_(Tokenizer::load(files.model)),
      image_processor_(ImageProcessor::load(files.model)),
      model_(load_for_training(files.model, options)) {
  if (!files.adapter.empty()) throw ConfigError("--adapter is given, but CLIP takes none");
  if (options.batch_size < 2) {
    throw ConfigError("'batch_size' is 1: nothing to tell apart; expected 2 or more");
  }
  check_rows(data_);
  if (!files.eval_data.empty()) {
    eval_data_.emplace(files.eval_data, files.on_bad_row);
    check_rows(*eval_data_);
  }
  ParameterCollector collector([&](const std::string& name) { return is_trained(name, options_); });
  model_->visit_parameters(collector);
  parameters_ = std::move(collector.parameters);
  for (Parameter& parameter : parameters_) {
    parameter.decays = parameter.value.dim() >= 2;
    if (parameter.name == "logit_scale") logit_scale_ = parameter.value;
  }
}

int64_t ClipObjective::num_weight_bytes() const {
  ByteCounter counter;
  model_->visit_parameters(counter);
  return counter.bytes;
}

std::vector<ClipObjective::MicroBatch> ClipObjective::make_batches(
    const TripletFile& file, const std::vector<uint32_t>& rows) const {
  std::vector<MicroBatch> batches;
  const int64_t max_length = model_->config().text.max_position_embeddings;
  for (const std::vector<uint32_t>& some : micro_batches(rows, options_.micro_batch_size, group_)) {
    MicroBatch& batch = batches.emplace_back();
    for (const uint32_t row : some) {
      const auto [anchor, positive, negatives] = file.row(row);
      const bool picture_first = is_picture(anchor);
      try {
        batch.input_ids.push_back(
            clip_input_ids(tokenizer_, (picture_first ? positive : anchor).text, max_length));
        batch.pictures.push_back(
            image_processor_.tiles(load_image((picture_first ? anchor : positive).image)));
      } catch (const InputError& error) {
        throw InputError(
            fmt::format("{}: line {}: {}", file.path().native(), file.line_of(row), error.what()));
      }
    }
  }
  return batches;
}

at::Tensor ClipObjective::encode(const MicroBatch& batch) const {
  const int64_t S = model_->config().vision.image_size;
  const auto count = static_cast<size_t>(3 * S * S);
  const at::Tensor pixel_values =
      at::empty({static_cast<int64_t>(batch.pictures.size()), 3, S, S}, at::kFloat);
  for (size_t i = 0; i < batch.pictures.size(); ++i) {
    image_processor_.write_pixel_values(batch.pictures[i],
                                        {pixel_values.data_ptr<float>() + i * count, count});
  }
  return at::cat({model_->encode_images(pixel_values),
                  model_->encode_text(ClipTextBatch::of(batch.input_ids))},
                 1);
}

ObjectiveResult ClipObjective::add_gradients(const std::vector<uint32_t>& rows, int64_t) {
  {
    const at::NoGradGuard no_grad;
    logit_scale_.clamp_max_(kMaxLogitScale);  // after each step, in effect
  }
  const std::vector<MicroBatch> batches = make_batches(data_, rows);
  const int64_t P = model_->config().projection_dim;
  const BatchResult result = accumulate_gradients(
      static_cast<int64_t>(batches.size()),
      [&](int64_t i) { return encode(batches[static_cast<size_t>(i)]); },
      [&](const at::Tensor& features) {
        return clip_loss(features.slice(1, 0, P), features.slice(1, P), logit_scale_);
      },
      group_);
  // Every rank computed the whole loss, and with it the whole gradient of the temperature.
  at::Tensor& scale_gradient = logit_scale_.mutable_grad();
  if (scale_gradient.defined()) scale_gradient.div_(group_.size());

  ObjectiveResult step{
      .loss = result.loss, .num_tokens = 0, .bad_rows = rows_not_finite(result.embeddings, rows)};
  for (const MicroBatch& batch : batches) {
    step.num_tokens += static_cast<int64_t>(batch.pictures.size()) * tokens_of_picture();
    for (const auto& ids : batch.input_ids) step.num_tokens += static_cast<int64_t>(ids.size());
  }
  return step;
}

Json ClipObjective::evaluate() {
  if (!eval_data_) return Json::object();
  const int64_t P = model_->config().projection_dim;
  Json figures = mean_over_batches(
      static_cast<int64_t>(eval_data_->size()), options_, [&](const std::vector<uint32_t>& rows) {
        std::vector<at::Tensor> features;
        for (const MicroBatch& batch : make_batches(*eval_data_, rows)) {
          features.push_back(encode(batch));
        }
        const at::Tensor all = group_.gather_rows(at::cat(features));
        const at::Tensor images = normalized(all.slice(1, 0, P));
        const at::Tensor texts = normalized(all.slice(1, P));
        const at::Tensor cosines = at::matmul(images, texts.t());
        return Json{{"eval_loss", clip_loss(images, texts, logit_scale_).item<double>()},
                    {"eval_image_recall_at_1", recall_at_1(cosines.t())},
                    {"eval_text_recall_at_1", recall_at_1(cosines)}};
      });
  figures["eval_temperature"] = std::exp(-logit_scale_.item<double>());
  return figures;
}

void ClipObjective::add_costs(int64_t num_rows, TrainingCost& cost,
                              std::optional<TrainingCost>&) const {
  const bool cached = options_.batch_size > options_.micro_batch_size * group_.size();
  const TrainingPasses passes{.forward = 1 + (cached ? 1 : 0), .backward = 2};
  const int64_t image_tokens = num_rows * tokens_of_picture();
  cost.flops = clip_flops(model_->config(), cost.tokens - image_tokens, image_tokens, passes);
}

void ClipObjective::save(const std::filesystem::path& folder) const {
  save_parameters(folder / "trained.safetensors", parameters_);
}

void ClipObjective::load(const std::filesystem::path& folder) {
  load_parameters_of(parameters_, folder / "trained.safetensors");
}

void ClipObjective::write_result(const std::filesystem::path& folder) const {
  {
    const at::NoGradGuard no_grad;
    at::Tensor scale = logit_scale_;
    scale.clamp_max_(kMaxLogitScale);
  }
  write_trained_checkpoint(model_dir_, clip_weight_names(), folder / "model", parameters_);
}

ObjectiveType clip_objective() {
  return {.name = "clip",
          .summary = "CLIP's loss, for both towers of a CLIP folder",
          .data = "pictures and their texts: .jsonl",
          .make_options = []() -> std::unique_ptr<TrainOptions> {
            return std::make_unique<ClipTrainOptions>();
          }};
}

}  // namespace e5v::detail
