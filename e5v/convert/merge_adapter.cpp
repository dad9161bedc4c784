#include "e5v/convert/merge_adapter.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/convert/rewrite_checkpoint.h"
#include "e5v/embed/embedder.h"
#include "e5v/families/registry.h"
#include "e5v/lora/lora_adapter.h"
#include "e5v/model/stored_precision.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kWeight = ".weight";

std::string module_of(const std::string& canonical_name) {
  return canonical_name.ends_with(kWeight)
             ? canonical_name.substr(0, canonical_name.size() - kWeight.size())
             : std::string();
}

/// Before anything is written: every update must find its weight.
void require_fitting(const LoraAdapter& adapter, const Checkpoint& checkpoint,
                     const WeightNames& names, const std::filesystem::path& model) {
  std::map<std::string, TensorView> weights;
  for (const std::string& name : checkpoint.names()) {
    weights.emplace(module_of(names.canonical(name)), *checkpoint.find(name));
  }
  for (const std::string& module : adapter.modules()) {
    const auto fail = [&](const std::string& problem) {
      throw ConfigError(fmt::format("{}: updates '{}', {}; made for another model?",
                                    adapter.path().native(), module, problem));
    };
    const auto found = weights.find(module);
    if (found == weights.end()) fail(fmt::format("which {} does not have", model.native()));
    const auto& shape = found->second.shape;
    const LoraWeights& update = *adapter.find(module);
    if (shape.size() != 2 || shape[0] != update.B.size(0) || shape[1] != update.A.size(1)) {
      fail(fmt::format("with shape [{}, {}], but the model's is [{}]", update.B.size(0),
                       update.A.size(1), fmt::join(shape, ", ")));
    }
  }
}

bool is_float32(const Checkpoint& checkpoint, const WeightNames& names,
                const LoraAdapter& adapter) {
  for (const std::string& name : checkpoint.names()) {
    const bool updated = adapter.find(module_of(names.canonical(name))) != nullptr;
    if (updated && checkpoint.find(name)->dtype != DType::F32) return false;
  }
  return true;
}

std::vector<std::vector<float>> embed(const std::filesystem::path& model,
                                      const std::filesystem::path& adapter) {
  EmbedderOptions options;
  options.model = model;
  options.adapter = adapter;
  options.precision = Precision::kFloat32;
  const Embedder embedder(options);
  std::vector<Item> items(3);
  items[0].text = "A dog runs through the snow.";
  items[1].text = "Two people are talking in the rain, under one umbrella.";
  items[2].text = "red";
  return embedder.embed(items);
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return dot / std::sqrt(aa * bb);
}

}  // namespace

void merge_adapter(const MergeFiles& files, const ProgressCallback& progress) {
  if (stored_precision(files.model)) {
    throw ConfigError(fmt::format(
        "{}: the weights are quantised; expected those that they were made of, to be merged first "
        "and quantised then",
        files.model.native()));
  }
  const auto architecture = load_architecture(files.model);
  const WeightNames& names = architecture->weight_names();
  const LoraAdapter adapter = LoraAdapter::load(files.adapter, names);
  require_fitting(adapter, Checkpoint::open(files.model), names, files.model);
  rewrite_checkpoint(
      files.model, files.output, names,
      [&](const std::string& name, const at::Tensor& stored) -> std::optional<at::Tensor> {
        const LoraWeights* update = adapter.find(module_of(name));
        if (update == nullptr) return std::nullopt;
        return update->delta().add_(stored.to(at::kFloat));
      },
      progress);
}

double check_merge(const MergeFiles& files) {
  const auto architecture = load_architecture(files.model);
  const WeightNames& names = architecture->weight_names();
  const bool exact =
      is_float32(Checkpoint::open(files.model), names, LoraAdapter::load(files.adapter, names));
  const auto merged = embed(files.output, {});
  const auto unmerged = embed(files.model, files.adapter);
  double lowest = 1;
  for (size_t i = 0; i < merged.size(); ++i) {
    lowest = std::min(lowest, cosine(merged[i], unmerged[i]));
  }
  const double limit = exact ? 1 - 1e-5 : 0.999;
  if (!(lowest >= limit)) {
    throw Error(
        fmt::format("{}: embeddings have a cosine of {:.6f} with those before merging, "
                    "expected at least {}",
                    files.output.native(), lowest, limit));
  }
  return lowest;
}

}  // namespace e5v::detail
