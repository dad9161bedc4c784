#include "e5v/embed/clip_embedder.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/model/load_parameters.h"

namespace e5v::detail {
namespace {

ClipEmbedderOptions checked(ClipEmbedderOptions options) {
  if (options.model.empty()) throw ConfigError("no model is given");
  if (options.threads < 0) {
    throw ConfigError(fmt::format("'threads' is {}, expected 0 or more", options.threads));
  }
  if (options.target_pad != 0 && !(options.target_pad >= 1)) {
    throw ConfigError(fmt::format("'target-pad' is {}, expected 0 (none) or a ratio of 1 or more",
                                  options.target_pad));
  }
  return options;
}

}  // namespace

std::vector<int64_t> clip_input_ids(const Tokenizer& tokenizer, std::string_view text,
                                    int64_t max_length) {
  std::vector<int64_t> ids = tokenizer.encode(text);
  if (static_cast<int64_t>(ids.size()) > max_length) {
    const int64_t end = ids.back();
    ids.resize(static_cast<size_t>(max_length));
    ids.back() = end;
  }
  return ids;
}

Image target_pad(const Image& image, double target_ratio) {
  const auto [shorter, longer] = std::minmax(image.height, image.width);
  if (static_cast<double>(longer) / static_cast<double>(shorter) < target_ratio) return image;
  const double side = static_cast<double>(longer) / target_ratio;
  const auto margin = [side](int64_t length) {
    return std::max<int64_t>(0, static_cast<int64_t>((side - static_cast<double>(length)) / 2));
  };
  const int64_t left = margin(image.width), top = margin(image.height);
  Image padded(image.height + 2 * top, image.width + 2 * left);
  for (int64_t y = 0; y < image.height; ++y) {
    std::copy_n(image.row(y), image.width * 3, padded.row(y + top) + left * 3);
  }
  return padded;
}

ClipEmbedder::ClipEmbedder(ClipEmbedderOptions options)
    : options_(checked(std::move(options))),
      tokenizer_(Tokenizer::load(options_.model)),
      image_processor_(ImageProcessor::load(options_.model)) {
  if (options_.threads > 0) at::set_num_threads(static_cast<int>(options_.threads));
  const LoadOptions loading{.precision = options_.precision,
                            .on_progress = options_.on_load_progress,
                            .on_warning = options_.on_warning};
  clip_ = load_clip(options_.model, loading);
  if (image_processor_.is_anyres() ||
      image_processor_.config().tile_size() != config().vision.image_size) {
    throw ConfigError(
        fmt::format("{}: the image processor does not make pictures of {} pixels, "
                    "which the image tower needs",
                    options_.model.native(), config().vision.image_size));
  }
  if (!options_.phi.empty()) {
    phi_ = load_searle_phi(options_.phi, config().projection_dim, config().text.hidden_size,
                           {.on_warning = options_.on_warning});
  }
}

std::vector<int64_t> ClipEmbedder::input_ids(std::string_view text) const {
  return clip_input_ids(tokenizer_, text, config().text.max_position_embeddings);
}

at::Tensor ClipEmbedder::text_features(std::span<const std::string> texts) const {
  const c10::InferenceMode inference;
  std::vector<std::vector<int64_t>> ids;
  for (const std::string& text : texts) ids.push_back(input_ids(text));
  return clip_->encode_text(ClipTextBatch::of(ids));
}

at::Tensor ClipEmbedder::image_features(std::span<const Image> images) const {
  const c10::InferenceMode inference;
  const int64_t S = config().vision.image_size;
  const at::Tensor pixel_values =
      at::empty({static_cast<int64_t>(images.size()), 3, S, S}, at::kFloat);
  for (size_t i = 0; i < images.size(); ++i) {
    const Image& image = images[i];
    const bool pads = options_.target_pad > 0 && image.height > 0 && image.width > 0;
    const ImageTiles tiles =
        image_processor_.tiles(pads ? target_pad(image, options_.target_pad) : image);
    const size_t count = static_cast<size_t>(3 * S * S);
    image_processor_.write_pixel_values(
        tiles, std::span<float>(pixel_values.data_ptr<float>() + i * count, count));
  }
  return clip_->encode_images(pixel_values);
}

at::Tensor ClipEmbedder::composed_features(const at::Tensor& image_features,
                                           std::span<const std::string> texts) const {
  if (!phi_) throw ConfigError("pseudo-words need the weights of φ, and none are given");
  const c10::InferenceMode inference;
  const auto place = tokenizer_.token_to_id("$</w>");
  std::vector<std::vector<int64_t>> ids;
  for (const std::string& text : texts) {
    std::vector<int64_t>& row = ids.emplace_back(input_ids(text));
    const auto found = place ? std::find(row.begin(), row.end(), *place) : row.end();
    if (found == row.end()) {
      throw InputError(
          fmt::format("'{}' has no '$' among its first {} tokens to stand for the "
                      "picture",
                      printable(text), row.size()));
    }
    *found = ClipTextBatch::kPseudoWord;
  }
  ClipTextBatch batch = ClipTextBatch::of(ids);
  batch.pseudo_words = phi_->forward(image_features);
  return clip_->encode_text(batch);
}

}  // namespace e5v::detail
