#include "e5v/embed/embedding_spec.h"

#include <algorithm>
#include <vector>

#include "e5v/base/digest.h"
#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/embed/device.h"
#include "e5v/families/registry.h"
#include "e5v/model/load_parameters.h"
#include "e5v/model/stored_precision.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNumSamples = 64;
constexpr size_t kSampleBytes = 4096;
/// Enough to tell fingerprints apart, short enough to be read in a message.
constexpr size_t kShownDigits = 16;
/// In place of a digest; an empty one would be one that is not known.
constexpr const char* kNoAdapter = "none";

std::string_view view_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Adds a file's size and, of a large one, its beginning, its end, and samples between.
void add_file(Digest& digest, const fs::path& path, bool sampled) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  digest.update(fmt::format("{} {}\n", path.filename().native(), bytes.size()));
  if (!sampled || bytes.size() <= kNumSamples * kSampleBytes) {
    digest.update(view_of(bytes));
    return;
  }
  for (size_t i = 0; i < kNumSamples; ++i) {
    const size_t offset = (bytes.size() - kSampleBytes) / (kNumSamples - 1) * i;
    digest.update(view_of(bytes.subspan(offset, kSampleBytes)));
  }
  digest.update(view_of(bytes.last(kSampleBytes)));
}

std::string digest_of(const std::vector<fs::path>& paths, bool sampled) {
  Digest digest(DigestKind::kSha256, 0);
  for (const fs::path& path : paths) {
    if (fs::exists(path)) add_file(digest, path, sampled);
  }
  return digest.finish().substr(0, kShownDigits);
}

std::vector<fs::path> weights_in(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".safetensors") paths.push_back(entry.path());
  }
  if (error) throw FileError(folder.native(), "cannot list", error.message());
  if (paths.empty()) throw FileError(folder.native(), "cannot read", "it has no .safetensors file");
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string absolute_or_empty(const fs::path& path) {
  return path.empty() ? "" : fs::absolute(path).native();
}

std::string adapter_digest(const fs::path& adapter) {
  if (adapter.empty()) return kNoAdapter;
  std::vector<fs::path> files = weights_in(adapter);
  files.insert(files.begin(), adapter / "adapter_config.json");
  return digest_of(files, true);
}

bool differs(const std::string& made, const std::string& now) {
  return !made.empty() && !now.empty() && made != now;
}

template <typename T>
bool differs(const std::optional<T>& made, const std::optional<T>& now) {
  return made && now && *made != *now;
}

/// The field, if the JSON has it and it is of this type.
template <typename T>
std::optional<T> known(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key)) return std::nullopt;
  try {
    return json[key].get<T>();
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

/// "models/a in fp32", with its adapter's folder.
std::string shown_model(const EmbeddingSpec& spec) {
  std::string shown = spec.model.empty() ? "a model" : printable(spec.model, 400);
  if (!spec.adapter.empty()) shown += " with adapter " + printable(spec.adapter, 400);
  return spec.precision.empty() ? shown : shown + " in " + spec.precision;
}

/// Which of the model's files are others; empty if none is.
std::string other_files(const EmbeddingSpec& made, const EmbeddingSpec& now) {
  std::string names;
  const auto compare = [&](const std::string& a, const std::string& b, const char* name) {
    if (differs(a, b)) names += (names.empty() ? "" : ", ") + std::string(name);
  };
  compare(made.weights, now.weights, "weights");
  compare(made.config, now.config, "config.json");
  compare(made.tokenizer, now.tokenizer, "tokenizer.json");
  compare(made.images, now.images, "picture rules");
  compare(made.adapter_weights, now.adapter_weights, "adapter");
  return names;
}

}  // namespace

EmbeddingSpec EmbeddingSpec::of(const EmbedderOptions& options) {
  const fs::path& model = options.model;
  if (!fs::exists(model / "config.json")) {
    throw FileError((model / "config.json").native(), "cannot open", "no such file");
  }
  EmbeddingSpec spec;
  spec.model = absolute_or_empty(model);
  spec.adapter = absolute_or_empty(options.adapter);
  spec.weights = digest_of(weights_in(model), true);
  spec.config = digest_of({model / "config.json"}, false);
  spec.tokenizer = digest_of({model / "tokenizer.json"}, false);
  spec.images =
      digest_of({model / "preprocessor_config.json", model / "processor_config.json"}, false);
  spec.adapter_weights = adapter_digest(options.adapter);
  spec.precision =
      precision_name(resolve_precision(options.precision, device_from_name(options.device),
                                       Checkpoint::open(model), stored_precision(model)));
  spec.dimensions =
      options.dimensions > 0 ? options.dimensions : load_architecture(model)->text().hidden_size;
  spec.task = options.prepare.task;
  spec.prompt = options.prepare.prompt;
  spec.image_processing = image_processing_name(options.image_processing);
  spec.exif = options.prepare.decode.apply_exif_orientation;
  spec.min_pixels = options.min_pixels;
  spec.max_pixels = options.max_pixels;
  return spec;
}

Json EmbeddingSpec::to_json() const {
  Json json = compared_json();
  if (!model.empty()) json["model"] = model;
  if (!adapter.empty()) json["adapter-folder"] = adapter;
  return json;
}

Json EmbeddingSpec::compared_json() const {
  Json json = Json::object();
  const auto put = [&](const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  put("weights", weights);
  put("config", config);
  put("tokenizer", tokenizer);
  put("images", images);
  if (!adapter_weights.empty()) {
    json["adapter"] = adapter_weights == kNoAdapter ? "" : adapter_weights;
  }
  put("precision", precision);
  put("image-processing", image_processing);
  if (dimensions) json["dimensions"] = *dimensions;
  if (task) json["task"] = *task;
  if (prompt) json["prompt"] = *prompt;
  if (exif) json["exif"] = *exif;
  if (min_pixels != 0) json["min-pixels"] = min_pixels;
  if (max_pixels != 0) json["max-pixels"] = max_pixels;
  return json;
}

EmbeddingSpec EmbeddingSpec::from_json(const Json& json) {
  const auto text = [&](const char* key) { return known<std::string>(json, key).value_or(""); };
  EmbeddingSpec spec;
  spec.model = text("model");
  spec.adapter = text("adapter-folder");
  spec.weights = text("weights");
  spec.config = text("config");
  spec.tokenizer = text("tokenizer");
  spec.images = text("images");
  if (const auto adapter = known<std::string>(json, "adapter")) {
    spec.adapter_weights = adapter->empty() ? kNoAdapter : *adapter;
  }
  spec.precision = text("precision");
  spec.image_processing = text("image-processing");
  spec.dimensions = known<int64_t>(json, "dimensions");
  spec.task = known<std::string>(json, "task");
  spec.prompt = known<std::string>(json, "prompt");
  spec.exif = known<bool>(json, "exif");
  spec.min_pixels = known<int64_t>(json, "min-pixels").value_or(0);
  spec.max_pixels = known<int64_t>(json, "max-pixels").value_or(0);
  return spec;
}

std::string EmbeddingSpec::hash() const {
  Digest digest(DigestKind::kSha256, 0);
  digest.update(compared_json().dump(-1, ' ', false, Json::error_handler_t::replace));
  return digest.finish();
}

std::optional<std::string> difference(const EmbeddingSpec& made, const EmbeddingSpec& now,
                                      SpecScope scope) {
  if (const std::string files = other_files(made, now); !files.empty()) {
    const bool same_place = made.model == now.model && made.adapter == now.adapter;
    if (same_place) return fmt::format("other files in {}: {}", printable(now.model, 400), files);
    return fmt::format("another model ({}): {}, this is {}", files, shown_model(made),
                       shown_model(now));
  }
  if (differs(made.precision, now.precision)) {
    return fmt::format("another precision: {}, now {}; give --precision {}", made.precision,
                       now.precision, made.precision);
  }
  if (differs(made.dimensions, now.dimensions)) {
    return fmt::format("other dimensions: {}, now {}", *made.dimensions, *now.dimensions);
  }
  if (scope == SpecScope::kSpace) return std::nullopt;
  if (differs(made.task, now.task)) {
    return fmt::format("another task: {}, now {}", printable(*made.task), printable(*now.task));
  }
  if (differs(made.prompt, now.prompt)) {
    return fmt::format("another prompt: '{}', now '{}'", printable(*made.prompt, 400),
                       printable(*now.prompt, 400));
  }
  if (differs(made.image_processing, now.image_processing)) {
    return fmt::format("another --image-processing: {}, now {}", made.image_processing,
                       now.image_processing);
  }
  if (differs(made.exif, now.exif)) {
    return fmt::format("another --exif: {}, now {}", *made.exif, *now.exif);
  }
  if (made.min_pixels != now.min_pixels) {
    return fmt::format("another --min-pixels: {}, now {}", made.min_pixels, now.min_pixels);
  }
  if (made.max_pixels != now.max_pixels) {
    return fmt::format("another --max-pixels: {}, now {}", made.max_pixels, now.max_pixels);
  }
  return std::nullopt;
}

}  // namespace e5v::detail
