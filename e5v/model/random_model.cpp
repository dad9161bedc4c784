#include "e5v/model/random_model.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <future>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/new_folder.h"
#include "e5v/base/random.h"
#include "e5v/base/threads.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/checkpoint/convert.h"
#include "e5v/model/clip.h"
#include "e5v/model/clip_word_tokenizer.h"
#include "e5v/model/llava_next.h"
#include "e5v/model/model_folder.h"
#include "e5v/model/preset_tokenizer.h"
#include "e5v/model/presets.h"
#include "e5v/model/word_tokenizer.h"
#include "e5v/nn/linear.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;

constexpr float kDeviation = 0.02f;                     // of everything but matrices
constexpr uint64_t kPieceElements = uint64_t{1} << 22;  // generated and written at a time
constexpr size_t kBlockElements = 2048;                 // converted at a time, in cache

struct RandomTensor {
  TensorSpec spec;
  float mean;
  float deviation;
};

/// Lists parameters with what is drawn for them.
class TensorLister final : public ParameterVisitor {
 public:
  TensorLister(DType dtype, int64_t vocab_size) : dtype_(dtype), vocab_size_(vocab_size) {}

  void tensor(const std::string& name, at::Tensor&, at::IntArrayRef shape) override {
    add(name, shape.vec());
  }
  void linear(const std::string& name, Linear& linear) override {
    // So that a product is about as large as what goes in, whatever the width.
    const float deviation = 1 / std::sqrt(static_cast<float>(linear.in_features()));
    tensors.push_back({{name + ".weight", dtype_, linear.checkpoint_shape()}, 0, deviation});
    if (linear.has_bias()) add(name + ".bias", {linear.out_features()});
  }
  void add(const std::string& name, std::vector<int64_t> shape) {
    // Any number of rows is fine for an embedding table; this is the one that the config states.
    if (!shape.empty() && shape[0] == -1) shape[0] = vocab_size_;
    const std::string module = name.substr(0, name.rfind('.'));
    const bool is_norm = module.substr(module.rfind('.') + 1).find("norm") != module.npos;
    const float mean = is_norm && name.ends_with(".weight") ? 1 : 0;
    tensors.push_back({{name, dtype_, std::move(shape)}, mean, kDeviation});
  }

  std::vector<RandomTensor> tensors;

 private:
  DType dtype_;
  int64_t vocab_size_;
};

/// Every tensor of a published checkpoint, those that embedding does not need last.
std::vector<RandomTensor> published_tensors(LlavaConfig config, DType dtype) {
  TensorLister lister(dtype, config.text.vocab_size);
  config.vision_feature_layer = -1;  // all of the tower's layers
  LlavaNext model(config);
  model.visit_parameters(lister);
  lister.add("vision_tower.vision_model.post_layernorm.weight", {config.vision.hidden_size});
  lister.add("vision_tower.vision_model.post_layernorm.bias", {config.vision.hidden_size});
  lister.add("language_model.lm_head.weight", {-1, config.text.hidden_size});
  return lister.tensors;
}

std::vector<RandomTensor> clip_tensors(const ClipConfig& config, DType dtype) {
  TensorLister lister(dtype, config.text.vocab_size);
  Clip clip(config);
  clip.visit_parameters(lister);
  for (RandomTensor& tensor : lister.tensors) {
    if (tensor.spec.name != "logit_scale") continue;
    tensor.mean = std::log(1 / 0.07f);
    tensor.deviation = 0;
  }
  return lister.tensors;
}

/// Deviations from which training goes well.
void draw_for_training(std::vector<RandomTensor>& tensors, int64_t num_text_layers,
                       int64_t num_vision_layers) {
  constexpr float kEmbedding = 0.5f, kPosition = 0.3f;
  const auto scale = [](int64_t layers) { return 1 / std::sqrt(2 * static_cast<float>(layers)); };
  for (RandomTensor& tensor : tensors) {
    const std::string& name = tensor.spec.name;
    const bool in_text = name.starts_with("language_model.") || name.starts_with("text_model.");
    const auto ends_with = [&](const char* end) { return name.ends_with(end); };
    if (ends_with("embed_tokens.weight") || ends_with("token_embedding.weight")) {
      tensor.deviation = kEmbedding;
    }
    if (ends_with("position_embedding.weight") || ends_with("class_embedding")) {
      tensor.deviation = kPosition;
    }
    const bool adds_to_residual = ends_with("o_proj.weight") || ends_with("down_proj.weight") ||
                                  ends_with("out_proj.weight") || ends_with("fc2.weight");
    if (adds_to_residual) {
      tensor.deviation *= scale(in_text ? num_text_layers : num_vision_layers);
    }
    if (ends_with(".bias")) tensor.deviation = 0;
  }
}

std::vector<RandomTensor> preset_tensors(const ModelPreset& preset, DType dtype) {
  std::vector<RandomTensor> tensors;
  int64_t num_text_layers = 0, num_vision_layers = 0;
  const auto list = [&](const auto& config, auto list_tensors) {
    tensors = list_tensors(config, dtype);
    num_text_layers = config.text.num_hidden_layers;
    num_vision_layers = config.vision.num_hidden_layers;
  };
  if (preset.is_clip()) {
    list(ClipConfig::from_json(preset.config), clip_tensors);
  } else {
    list(LlavaConfig::from_json(preset.config), published_tensors);
  }
  if (preset.for_training) draw_for_training(tensors, num_text_layers, num_vision_layers);
  return tensors;
}

/// The values of one tensor: element i depends on the seed, the tensor's name and i alone.
class RandomValues {
 public:
  RandomValues(int64_t seed, const RandomTensor& tensor)
      : mean_(tensor.mean),
        scale_(tensor.deviation * std::sqrt(3.0f) / 65536) {  // the sum deviates by 65536 / √3
    uint64_t hash = UINT64_C(0xcbf29ce484222325);             // FNV-1a
    for (const unsigned char byte : tensor.spec.name) {
      hash = (hash ^ byte) * UINT64_C(0x100000001b3);
    }
    key_ = mix64(hash ^ mix64(static_cast<uint64_t>(seed)));
  }

  /// The sum of four uniform numbers: near enough to normal, and far cheaper.
  float operator()(uint64_t i) const {
    const uint64_t bits = mix64(key_ + i);
    const auto sum = static_cast<int32_t>((bits & 0xffff) + ((bits >> 16) & 0xffff) +
                                          ((bits >> 32) & 0xffff) + (bits >> 48));
    return mean_ + static_cast<float>(sum - 2 * 65535) * scale_;
  }

 private:
  uint64_t key_;
  float mean_;
  float scale_;
};

/// Elements [begin, end) of a tensor into `out`.
void fill(const RandomValues& values, uint64_t begin, uint64_t end, DType dtype, std::byte* out) {
  std::array<float, kBlockElements> block;
  const size_t element_bytes = dtype_bytes(dtype);
  while (begin < end) {
    const size_t count = std::min<uint64_t>(kBlockElements, end - begin);
    for (size_t i = 0; i < count; ++i) block[i] = values(begin + i);
    convert_from_float32(dtype, std::span(block).first(count), {out, count * element_bytes});
    begin += count;
    out += count * element_bytes;
  }
}

/// `fill` on all cores.
void fill_in_parallel(const RandomValues& values, uint64_t begin, DType dtype,
                      std::span<std::byte> out) {
  const size_t element_bytes = dtype_bytes(dtype);
  const uint64_t count = out.size() / element_bytes;
  const uint64_t share = std::max<uint64_t>(kBlockElements, count / usable_cores() + 1);
  std::vector<std::jthread> threads;
  for (uint64_t at = share; at < count; at += share) {
    threads.emplace_back([=, &values] {
      fill(values, begin + at, begin + std::min(at + share, count), dtype,
           out.data() + at * element_bytes);
    });
  }
  fill(values, begin, begin + std::min(share, count), dtype, out.data());
}

void write_tensors(const fs::path& folder, const std::vector<RandomTensor>& tensors, int64_t seed,
                   const ProgressCallback& progress) {
  std::vector<TensorSpec> specs;
  uint64_t total_bytes = 0, done_bytes = 0;
  for (const RandomTensor& tensor : tensors) {
    specs.push_back(tensor.spec);
    total_bytes += checked_tensor_bytes(tensor.spec.dtype, tensor.spec.shape).value();
  }
  CheckpointWriter writer(folder, std::move(specs));
  // While one piece is written the next is generated.
  std::vector<std::byte> generated, written;
  std::future<void> writing;
  for (const RandomTensor& tensor : tensors) {
    const DType dtype = tensor.spec.dtype;
    const RandomValues values(seed, tensor);
    const uint64_t count = checked_num_elements(tensor.spec.shape).value();
    for (uint64_t begin = 0; begin < count; begin += kPieceElements) {
      generated.resize(std::min(kPieceElements, count - begin) * dtype_bytes(dtype));
      fill_in_parallel(values, begin, dtype, generated);
      if (writing.valid()) writing.get();
      std::swap(generated, written);
      done_bytes += written.size();
      if (progress) progress(done_bytes, total_bytes);
      writing = std::async(std::launch::async, [&writer, &tensor, &written] {
        writer.write(tensor.spec.name, written);
      });
    }
  }
  if (writing.valid()) writing.get();
  writer.commit();
}

/// The tokenizer.json of a preset, whose vocabulary then also states its config's size.
Json make_tokenizer(ModelPreset& preset, const RandomModelOptions& options) {
  if (preset.num_text_tokens > 0) {
    if (!options.texts.empty()) {
      throw ConfigError(fmt::format(
          "--texts is for the presets shapes-mini and shapes-mini-clip, not for {}", preset.name));
    }
    return preset_tokenizer(preset.num_text_tokens);
  }
  if (options.texts.empty()) {
    throw ConfigError(
        fmt::format("the preset {} needs --texts: its tokens are their words", preset.name));
  }
  const std::vector<std::string> words = distinct_words(read_file(options.texts));
  Json tokenizer = preset.is_clip() ? clip_word_tokenizer(words) : word_tokenizer(words);
  constexpr size_t kMaxTokens = 65536;
  const size_t num_tokens = tokenizer["model"]["vocab"].size();
  if (num_tokens > kMaxTokens) {
    throw ConfigError(fmt::format("{} has {} words, expected a small world's (at most {} tokens)",
                                  options.texts.native(), words.size(), kMaxTokens));
  }
  preset.config["text_config"]["vocab_size"] = (num_tokens + 63) / 64 * 64;
  if (preset.is_clip()) {
    preset.config["text_config"]["bos_token_id"] = num_tokens - 2;
    preset.config["text_config"]["eos_token_id"] = num_tokens - 1;
    preset.config["text_config"]["pad_token_id"] = num_tokens - 1;
  }
  return tokenizer;
}

void write_json(const fs::path& path, const Json& json) { write_file(path, json.dump(2) + "\n"); }

}  // namespace

void RandomModelOptions::register_options(OptionRegistry& registry) {
  registry.add("preset", preset,
               "Shape of the model: tiny, 1b (1.04 G parameters), e5v-8b, shapes-mini or "
               "shapes-mini-clip");
  registry.add("texts", texts,
               "Texts whose words are the tokens of shapes-mini and shapes-mini-clip");
  registry.add("seed", seed, "Equal seeds give equal weights");
  registry.add("dtype", dtype, {{"bf16", DType::BF16}, {"fp16", DType::F16}, {"fp32", DType::F32}},
               "Type of the stored weights");
}

void write_random_model(const fs::path& folder, const RandomModelOptions& options,
                        const ProgressCallback& progress) {
  ModelPreset preset = model_preset(options.preset);
  const std::string_view dtype_name = torch_dtype_name(options.dtype);
  const Json tokenizer = make_tokenizer(preset, options);
  preset.config["torch_dtype"] = dtype_name;
  preset.config["text_config"]["torch_dtype"] = dtype_name;

  NewFolder unfinished(folder, "a model");
  write_tensors(unfinished.path(), preset_tensors(preset, options.dtype), options.seed, progress);
  write_json(unfinished.path() / "config.json", preset.config);
  write_json(unfinished.path() / "preprocessor_config.json",
             preprocessor_config_for(preset.config));
  if (!preset.is_clip()) {
    write_json(unfinished.path() / "processor_config.json", processor_config_for(preset.config));
  }
  write_json(unfinished.path() / "tokenizer_config.json",
             preset.is_clip()             ? clip_word_tokenizer_config()
             : preset.num_text_tokens > 0 ? preset_tokenizer_config()
                                          : word_tokenizer_config());
  // Not indented: it is long.
  write_file(unfinished.path() / "tokenizer.json", tokenizer.dump() + "\n");
  unfinished.commit();
}

}  // namespace e5v
