#include "e5v/convert/import_gguf.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/base/new_folder.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/checkpoint/convert.h"
#include "e5v/checkpoint/gguf.h"
#include "e5v/convert/model_folder.h"
#include "e5v/families/registry.h"
#include "e5v/model/model.h"
#include "e5v/nn/linear.h"
#include "e5v/nn/parameter_visitor.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

/// A tensor to be written, and where it comes from.
struct ImportedTensor {
  std::string name, stored_name;
  const GgufFile* file;
  const GgufTensor* tensor;
  /// Heads whose rows are interleaved, or 0.
  int64_t interleaved_heads = 0;
  std::vector<int64_t> shape = {};  ///< in the checkpoint
  /// Of a convolution over time, of which the file has a tensor for each frame: the further ones.
  std::vector<const GgufTensor*> next_frames = {};

  uint64_t num_bytes() const { return tensor->num_bytes * (1 + next_frames.size()); }
};

/// Finds each parameter of a model in the two files.
class GgufMatcher final : public ParameterVisitor {
 public:
  GgufMatcher(const GgufFile& model, const GgufFile& mmproj, const Architecture& architecture)
      : model_(model),
        mmproj_(mmproj),
        text_(architecture.text()),
        names_(architecture.weight_names()),
        gguf_(architecture.gguf_names()) {}

  void tensor(const std::string& name, at::Tensor&, at::IntArrayRef shape) override {
    expect(name, gguf_.tensor(name), shape);
  }
  void linear(const std::string& name, Linear& linear) override {
    const std::string module = layer_module(name, linear);
    if (linear.checkpoint_shape().size() == 5) {
      expect_frames(name + ".weight", module + ".weight", linear.checkpoint_shape());
    } else {
      expect(name + ".weight", module + ".weight", linear.checkpoint_shape());
    }
    if (linear.has_bias()) expect(name + ".bias", module + ".bias", {linear.out_features()});
  }
  void add_head() {
    const std::string stored = gguf_.tensor(names_.lm_head);
    if (model_.find(stored) == nullptr) return;  // it is the table
    expect(names_.lm_head, stored, {-1, text_.hidden_size});
  }

  std::vector<ImportedTensor> found;
  std::vector<std::string> problems;

 private:
  const GgufFile& file_of(const std::string& name) const {
    return names_.in_text_model(name) ? model_ : mmproj_;
  }

  /// The first converters swapped the names of the tower's two MLP products; shapes tell.
  std::string layer_module(const std::string& name, const Linear& linear) const {
    const std::string module = gguf_.module(name);
    const std::string up = "ffn_up", down = "ffn_down";
    const bool is_up = module.ends_with(up);
    if (names_.in_text_model(name) || (!is_up && !module.ends_with(down))) return module;
    const GgufTensor* stored = file_of(name).find(module + ".weight");
    const std::vector<int64_t> swapped = {linear.in_features(), linear.out_features()};
    if (stored == nullptr || stored->shape != swapped || swapped[0] == swapped[1]) return module;
    const size_t end = module.rfind('.') + 1;
    return module.substr(0, end) + (is_up ? down : up);
  }

  /// [out, channels, frames, p, p], stored as [out, channels, p, p] under X.weight, X.weight.1 ….
  void expect_frames(const std::string& name, const std::string& stored_name,
                     const std::vector<int64_t>& shape) {
    const std::vector<int64_t> frame = {shape[0], shape[1], shape[3], shape[4]};
    std::vector<const GgufTensor*> next_frames;
    for (int64_t i = 1; i < shape[2]; ++i) {
      const size_t num_found = found.size();
      expect(name, fmt::format("{}.{}", stored_name, i), frame);
      if (found.size() == num_found) return;
      next_frames.push_back(found.back().tensor);
      found.pop_back();
    }
    const size_t num_found = found.size();
    expect(name, stored_name, frame);
    if (found.size() == num_found) return;
    found.back().shape = shape;
    found.back().next_frames = std::move(next_frames);
  }

  void expect(const std::string& name, const std::string& stored_name, at::IntArrayRef shape) {
    const GgufFile& file = file_of(name);
    const GgufTensor* stored = file.find(stored_name);
    if (stored == nullptr) {
      problems.push_back(
          fmt::format("{} lacks '{}'", file.path().filename().native(), stored_name));
      return;
    }
    const bool fits =
        std::equal(stored->shape.begin(), stored->shape.end(), shape.begin(), shape.end(),
                   [](int64_t a, int64_t b) { return b == -1 || a == b; });
    if (!fits) {
      problems.push_back(fmt::format("'{}' has [{}], expected [{}]", stored_name,
                                     fmt::join(stored->shape, ", "), fmt::join(shape, ", ")));
      return;
    }
    ImportedTensor& imported = found.emplace_back(ImportedTensor{name, stored_name, &file, stored});
    imported.shape = stored->shape;
    if (!gguf_.interleaves_rotary || &file != &model_) return;
    if (stored_name.ends_with("attn_q.weight")) {
      imported.interleaved_heads = text_.num_attention_heads;
    } else if (stored_name.ends_with("attn_k.weight")) {
      imported.interleaved_heads = text_.num_key_value_heads;
    }
  }

  const GgufFile& model_;
  const GgufFile& mmproj_;
  const TextConfig& text_;
  const WeightNames& names_;
  const GgufNames gguf_;
};

void require_architecture(const GgufFile& file, const std::string& expected) {
  const std::string found = file.text("general.architecture").value_or("");
  if (found != expected) {
    throw FormatError(file.path().native(), fmt::format("its architecture is '{}', expected '{}'",
                                                        printable(found), expected));
  }
}

DType narrow_type(const GgufFile& model) {
  uint64_t bf16 = 0, other = 0;
  for (const auto& [name, tensor] : model.tensors()) {
    if (tensor.shape.size() != 2) continue;
    (tensor.type == GgufType::kBF16 ? bf16 : other) += tensor.num_bytes;
  }
  return bf16 > other ? DType::BF16 : DType::F16;
}

/// Where row `row` of a matrix of `heads` heads lies in the file.
int64_t stored_row(int64_t row, int64_t num_rows, int64_t heads) {
  if (heads == 0) return row;
  const int64_t size = num_rows / heads, half = size / 2;
  const int64_t head = row / size, within = row % size;
  return head * size + within % half * 2 + within / half;
}

void require_representable(std::span<const float> values, DType dtype,
                           const ImportedTensor& source) {
  constexpr float kLargestHalf = 65504;
  for (const float value : values) {
    if (!std::isfinite(value)) {
      throw FormatError(
          source.file->path().native(),
          fmt::format("tensor '{}' holds a value that is not finite", source.stored_name));
    }
    if (dtype == DType::F16 && std::abs(value) > kLargestHalf) {
      throw ConfigError(
          fmt::format("{}: tensor '{}' holds {}, which fp16 does not; take --dtype bf16",
                      source.file->path().native(), source.stored_name, value));
    }
  }
}

/// One output's weights of all frames, [channels, frames, p · p]: the first frame's are `frame`,
/// the others' what `read_row` gives.
template <class ReadRow>
std::vector<float> join_frames(const ImportedTensor& source, std::vector<float> frame,
                               const ReadRow& read_row) {
  const size_t num_frames = 1 + source.next_frames.size();
  const size_t plane = frame.size() / static_cast<size_t>(source.shape[1]);
  std::vector<float> joined(frame.size() * num_frames);
  for (size_t f = 0; f < num_frames; ++f) {
    if (f > 0) read_row(*source.next_frames[f - 1], frame);
    for (size_t i = 0; i < frame.size(); ++i) {
      joined[(i / plane * num_frames + f) * plane + i % plane] = frame[i];
    }
  }
  return joined;
}

void write_tensor(const ImportedTensor& source, DType dtype, CheckpointWriter& writer) {
  constexpr size_t kPieceBytes = 16 << 20;
  const GgufTensor& tensor = *source.tensor;
  const bool has_rows = tensor.shape.size() > 1;
  const int64_t num_rows = has_rows ? tensor.shape[0] : 1;
  const auto count = static_cast<int64_t>(checked_num_elements(tensor.shape).value_or(0));
  const int64_t row_size = num_rows > 0 ? count / num_rows : 0;
  const uint64_t row_bytes = num_rows > 0 ? tensor.num_bytes / static_cast<uint64_t>(num_rows) : 0;
  std::vector<float> frame(static_cast<size_t>(row_size)), joined;
  std::vector<std::byte> narrow, piece;
  for (int64_t r = 0; r < num_rows; ++r) {
    const auto at = static_cast<uint64_t>(stored_row(r, num_rows, source.interleaved_heads));
    const auto read_row = [&](const GgufTensor& from, std::span<float> values) {
      dequantize_gguf(from.type, source.file->bytes(from).subspan(at * row_bytes, row_bytes),
                      values);
    };
    read_row(tensor, frame);
    if (!source.next_frames.empty()) joined = join_frames(source, frame, read_row);
    const std::vector<float>& row = joined.empty() ? frame : joined;
    require_representable(row, dtype, source);
    narrow.resize(row.size() * dtype_bytes(dtype));
    convert_from_float32(dtype, row, narrow);
    piece.insert(piece.end(), narrow.begin(), narrow.end());
    if (piece.size() >= kPieceBytes || r + 1 == num_rows) {
      writer.write(source.name, piece);
      piece.clear();
    }
  }
  source.file->release(tensor);
  for (const GgufTensor* frame : source.next_frames) source.file->release(*frame);
}

}  // namespace

DType import_gguf(const GgufImport& source, const fs::path& target,
                  const ProgressCallback& progress) {
  NewFolder folder(target, "a model");
  Json json = read_json(source.config / "config.json");
  const auto architecture = load_architecture(source.config);
  const GgufFile model_file(source.model), mmproj_file(source.mmproj);
  const GgufNames names = architecture->gguf_names();
  require_architecture(model_file, names.model_architecture);
  require_architecture(mmproj_file, names.mmproj_architecture);
  const std::unique_ptr<Model> model = architecture->make_model();
  GgufMatcher matcher(model_file, mmproj_file, *architecture);
  model->visit_parameters(matcher);
  matcher.add_head();
  if (!matcher.problems.empty()) {
    constexpr size_t kShown = 8;
    const size_t shown = std::min(kShown, matcher.problems.size());
    throw FormatError(
        source.model.native(),
        fmt::format("the weights do not fit {}: {}{}", (source.config / "config.json").native(),
                    fmt::join(matcher.problems.begin(),
                              matcher.problems.begin() + static_cast<long>(shown), "; "),
                    shown < matcher.problems.size()
                        ? fmt::format(" and {} more", matcher.problems.size() - shown)
                        : ""));
  }
  const DType dtype = source.dtype.value_or(narrow_type(model_file));
  std::vector<TensorSpec> specs;
  uint64_t total = 0, done = 0;
  for (const ImportedTensor& imported : matcher.found) {
    specs.push_back({imported.name, dtype, imported.shape});
    total += imported.num_bytes();
  }
  CheckpointWriter writer(folder.path(), std::move(specs));
  for (const ImportedTensor& imported : matcher.found) {
    write_tensor(imported, dtype, writer);
    done += imported.num_bytes();
    if (progress) progress(done, total);
  }
  writer.commit();
  copy_other_files(source.config, folder.path());
  json["torch_dtype"] = torch_dtype_name(dtype);
  json.erase("quantization_config");
  write_file(folder.path() / "config.json", json.dump(2) + "\n");
  folder.commit();
  return dtype;
}

}  // namespace e5v::detail
