#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/progress.h"
#include "e5v/image/image_processor.h"
#include "e5v/model/clip.h"
#include "e5v/model/searle_phi.h"
#include "e5v/text/tokenizer.h"

namespace e5v::detail {

struct ClipEmbedderOptions {
  /// A CLIP folder in the Hugging Face layout: config.json, safetensors, tokenizer.json,
  /// preprocessor_config.json.
  std::filesystem::path model;
  /// Weights of SEARLE's φ (.safetensors); empty = none, and no pseudo-words.
  std::filesystem::path phi;
  Precision precision = Precision::kFloat32;
  /// Pad a picture with black whose sides are in a larger ratio than this, up to the ratio; 0 =
  /// never, as CLIP has it. SEARLE's published figures were measured with 1.25.
  double target_pad = 0;
  /// As EmbedderOptions has it.
  int64_t threads = 0;
  ProgressCallback on_load_progress;
  std::function<void(const std::string& message)> on_warning;
};

/// The ids that transformers' CLIPTokenizer gives with `truncation=True`: begin token, text, end
/// token, at most `max_length` of them, the end token always among them. Throws InputError as
/// Tokenizer::encode.
std::vector<int64_t> clip_input_ids(const Tokenizer& tokenizer, std::string_view text,
                                    int64_t max_length);

/// Texts and pictures to CLIP's features, from the files of one model folder; what CLIP and SEARLE
/// are evaluated with, on the CPU.
///
/// Features are [items, dimensions()] fp32 and not normalised. Const and thread-safe once made.
class ClipEmbedder {
 public:
  /// Throws FileError, FormatError, ConfigError.
  explicit ClipEmbedder(ClipEmbedderOptions options);

  int64_t dimensions() const { return clip_->config().projection_dim; }
  const ClipConfig& config() const { return clip_->config(); }
  const ClipEmbedderOptions& options() const { return options_; }
  const Clip& clip() const { return *clip_; }
  bool has_phi() const { return phi_ != nullptr; }

  std::vector<int64_t> input_ids(std::string_view text) const;

  at::Tensor text_features(std::span<const std::string> texts) const;
  at::Tensor image_features(std::span<const Image> images) const;
  /// Features of texts in which the first `$` of each is the pseudo-word of an image, given by its
  /// image features [texts, dimensions()]. Throws InputError where a text has no `$`, or it is cut
  /// off, and ConfigError without φ.
  at::Tensor composed_features(const at::Tensor& image_features,
                               std::span<const std::string> texts) const;

 private:
  ClipEmbedderOptions options_;
  Tokenizer tokenizer_;
  ImageProcessor image_processor_;
  std::unique_ptr<Clip> clip_;
  std::unique_ptr<SearlePhi> phi_;
};

/// `image` with black on both sides of its shorter dimension, so that its sides' ratio is about
/// `target_ratio`; unchanged where it is below already (SEARLE's TargetPad).
Image target_pad(const Image& image, double target_ratio);

}  // namespace e5v::detail
