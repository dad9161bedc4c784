#include "e5v/convert/random_model.h"

#include <fmt/ranges.h>
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
#include "e5v/convert/model_folder.h"
#include "e5v/families/model_preset.h"
#include "e5v/nn/linear.h"
#include "e5v/nn/parameter_visitor.h"
#include "e5v/text/word_tokenizer.h"

namespace e5v::detail {
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

/// Deviations from which training goes well.
void draw_for_training(const ModelPreset& preset, std::vector<RandomTensor>& tensors) {
  constexpr float kEmbedding = 0.5f, kPosition = 0.3f;
  const auto scale = [&](const char* part) {
    const auto layers = preset.config.at(part).at("num_hidden_layers").get<float>();
    return 1 / std::sqrt(2 * layers);
  };
  for (RandomTensor& tensor : tensors) {
    const std::string& name = tensor.spec.name;
    const PartKind kind = preset.weight_names.kind_of(name);
    const bool in_text = kind == PartKind::kTextModel || kind == PartKind::kTextTower;
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
      tensor.deviation *= scale(in_text ? "text_config" : "vision_config");
    }
    if (ends_with(".bias")) tensor.deviation = 0;
  }
}

std::vector<RandomTensor> preset_tensors(const ModelPreset& preset, DType dtype) {
  const auto vocab_size = preset.config.at("text_config").at("vocab_size").get<int64_t>();
  TensorLister lister(dtype, vocab_size);
  preset.visit_published(preset.config, lister);
  if (preset.for_training) draw_for_training(preset, lister.tensors);
  for (RandomTensor& tensor : lister.tensors) {
    const auto constant = preset.constants.find(tensor.spec.name);
    if (constant == preset.constants.end()) continue;
    tensor.mean = constant->second;
    tensor.deviation = 0;
  }
  return lister.tensors;
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

/// Names of the presets whose tokens are words, for a message.
std::string word_presets() {
  std::vector<std::string> names;
  for (const std::string& name : preset_names()) {
    if (model_preset(name).has_words_as_tokens) names.push_back(name);
  }
  return fmt::format("{}", fmt::join(names, " and "));
}

/// The tokenizer of a preset, whose words then also state its config's size.
ModelPreset::Tokenizer make_tokenizer(ModelPreset& preset, const RandomModelOptions& options) {
  if (!preset.has_words_as_tokens) {
    if (!options.texts.empty()) {
      throw ConfigError(
          fmt::format("--texts is for the presets {}, not for {}", word_presets(), preset.name));
    }
    return preset.make_tokenizer({});
  }
  if (options.texts.empty()) {
    throw ConfigError(
        fmt::format("the preset {} needs --texts: its tokens are their words", preset.name));
  }
  const std::vector<std::string> words = distinct_words(read_file(options.texts));
  ModelPreset::Tokenizer tokenizer = preset.make_tokenizer(words);
  constexpr size_t kMaxTokens = 65536;
  const size_t num_tokens = tokenizer.json["model"]["vocab"].size();
  if (num_tokens > kMaxTokens) {
    throw ConfigError(fmt::format("{} has {} words, expected a small world's (at most {} tokens)",
                                  options.texts.native(), words.size(), kMaxTokens));
  }
  preset.config["text_config"]["vocab_size"] = (num_tokens + 63) / 64 * 64;
  if (preset.set_num_tokens) preset.set_num_tokens(preset.config, num_tokens);
  return tokenizer;
}

void write_json(const fs::path& path, const Json& json) { write_file(path, json.dump(2) + "\n"); }

}  // namespace

void RandomModelOptions::register_options(OptionRegistry& registry) {
  registry.add("preset", preset,
               fmt::format("Shape of the model: {}", fmt::join(preset_names(), ", ")));
  registry.add("texts", texts,
               fmt::format("Texts whose words are the tokens of {}", word_presets()));
  registry.add("seed", seed, "Equal seeds give equal weights");
  registry.add("dtype", dtype, {{"bf16", DType::BF16}, {"fp16", DType::F16}, {"fp32", DType::F32}},
               "Type of the stored weights");
}

void write_random_model(const fs::path& folder, const RandomModelOptions& options,
                        const ProgressCallback& progress) {
  ModelPreset preset = model_preset(options.preset);
  const std::string_view dtype_name = torch_dtype_name(options.dtype);
  const ModelPreset::Tokenizer tokenizer = make_tokenizer(preset, options);
  preset.config["torch_dtype"] = dtype_name;
  preset.config["text_config"]["torch_dtype"] = dtype_name;

  NewFolder unfinished(folder, "a model");
  write_tensors(unfinished.path(), preset_tensors(preset, options.dtype), options.seed, progress);
  write_json(unfinished.path() / "config.json", preset.config);
  write_json(unfinished.path() / "preprocessor_config.json", preset.preprocessor_config);
  if (!preset.processor_config.is_null()) {
    write_json(unfinished.path() / "processor_config.json", preset.processor_config);
  }
  if (!preset.chat_template.empty()) {
    write_file(unfinished.path() / "chat_template.jinja", preset.chat_template);
  }
  write_json(unfinished.path() / "tokenizer_config.json", tokenizer.config);
  // Not indented: it is long.
  write_file(unfinished.path() / "tokenizer.json", tokenizer.json.dump() + "\n");
  unfinished.commit();
}

}  // namespace e5v::detail
