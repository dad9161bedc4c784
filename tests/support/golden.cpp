#include "tests/support/golden.h"

#include <torch/types.h>

#include <algorithm>
#include <cstring>
#include <sstream>
#include <utility>

#include "e5v/base/file.h"
#include "e5v/checkpoint/safetensors.h"

namespace e5v::detail {
namespace {

constexpr std::pair<DType, torch::ScalarType> kTypes[] = {
    {DType::F64, torch::kFloat64},   {DType::F32, torch::kFloat32}, {DType::F16, torch::kFloat16},
    {DType::BF16, torch::kBFloat16}, {DType::I64, torch::kInt64},   {DType::I32, torch::kInt32},
    {DType::I8, torch::kInt8},       {DType::U8, torch::kUInt8},    {DType::BOOL, torch::kBool},
};

torch::ScalarType scalar_type_of(DType dtype) {
  for (const auto& [stored, in_memory] : kTypes) {
    if (stored == dtype) return in_memory;
  }
  throw InputError("a golden's tensor has a type that tests have no use for");
}

DType dtype_of(torch::ScalarType type) {
  for (const auto& [stored, in_memory] : kTypes) {
    if (in_memory == type) return stored;
  }
  throw InputError("a tensor's type has no place in a safetensors file");
}

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::istringstream text(read_file(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

torch::Tensor read_tensor(const SafetensorsFile& file, const std::string& name) {
  const TensorInfo* info = file.find(name);
  if (info == nullptr) throw InputError(file.path().string() + ": no tensor '" + name + "'");
  torch::Tensor tensor = torch::empty(info->shape, scalar_type_of(info->dtype));
  const auto bytes = file.bytes(name);
  if (!bytes.empty()) std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
  return tensor;
}

}  // namespace

Golden load_golden(const std::string& name) {
  Golden golden;
  golden.folder_ = std::filesystem::path(E5V_SOURCE_DIR) / "tests" / "goldens" / name;
  golden.description_ = read_json(golden.folder_ / "golden.json");
  return golden;
}

std::filesystem::path Golden::file(const std::string& file_name) const {
  const Json files = description_.value("files", Json::object());
  const auto elsewhere = files.find(file_name);
  if (elsewhere == files.end()) return folder_ / file_name;
  return folder_.parent_path() / elsewhere->get<std::string>();
}

Json Golden::config(const std::string& file_name) const { return read_json(file(file_name)); }

std::map<std::string, torch::Tensor> Golden::tensors(const std::string& file_name) const {
  return read_tensors(file(file_name));
}

torch::Tensor Golden::tensor(const std::string& file_name, const std::string& name) const {
  return read_tensor(SafetensorsFile(file(file_name)), name);
}

bool Golden::has_expected(const std::string& name) const {
  return SafetensorsFile(file("expected.safetensors")).find(name) != nullptr;
}

torch::Tensor Golden::pixel_values(const std::string& image) const {
  return input("image." + image + ".pixel_values").to(torch::kFloat32);
}

std::pair<int64_t, int64_t> Golden::image_size(const std::string& image) const {
  const Json& size = description_.at("image_sizes").at(image);
  return {size.at(0).get<int64_t>(), size.at(1).get<int64_t>()};
}

std::vector<std::string> Golden::images() const {
  std::vector<std::string> names;
  for (const auto& image : description_.at("image_sizes").items()) names.push_back(image.key());
  return names;
}

std::vector<GoldenItem> Golden::items() const {
  std::vector<GoldenItem> items;
  for (const Json& json : description_.at("items")) {
    items.push_back(
        {json.at("name").get<std::string>(), json.at("input_ids").get<std::vector<int64_t>>(),
         json.at("images").get<std::vector<std::string>>(), json.at("length").get<int64_t>()});
  }
  return items;
}

GoldenItem Golden::item(const std::string& name) const {
  const std::vector<GoldenItem> all = items();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const GoldenItem& item) { return item.name == name; });
  if (found == all.end()) throw InputError(folder_.string() + ": no item '" + name + "'");
  return *found;
}

Tolerance Golden::tolerance(const std::string& kind) const {
  const Json& tolerance = description_.at("tolerance").at(kind);
  return {tolerance.at("absolute").get<double>(), tolerance.at("relative").get<double>()};
}

std::map<std::string, torch::Tensor> read_tensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  std::map<std::string, torch::Tensor> tensors;
  for (const std::string& name : file.names()) tensors[name] = read_tensor(file, name);
  return tensors;
}

void write_tensors(const std::filesystem::path& path,
                   const std::map<std::string, torch::Tensor>& tensors) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : tensors) {
    specs.push_back({name, dtype_of(tensor.scalar_type()), tensor.sizes().vec()});
  }
  SafetensorsWriter writer(path, specs, {{"format", "pt"}});
  for (const auto& [name, tensor] : tensors) {
    const torch::Tensor rows = tensor.contiguous();
    writer.write(name, {static_cast<const std::byte*>(rows.data_ptr()), rows.nbytes()});
  }
  writer.commit();
}

std::map<std::string, std::string> renamed_keys(const Golden& golden, KeyLayout layout) {
  const auto keys_of = [&](KeyLayout which) {
    switch (which) {
      case KeyLayout::kPublished:
        return read_lines(golden.file("keys_published.txt"));
      case KeyLayout::k4_52:
        return read_lines(golden.file("keys_4_52.txt"));
      case KeyLayout::k5xMemory:
        return read_lines(golden.file("keys_5x_memory.txt"));
      case KeyLayout::k5xSaved:
        return read_lines(golden.file("keys_5x_saved.txt"));
    }
    throw InputError("no such key layout");
  };
  const std::vector<std::string> published = keys_of(KeyLayout::kPublished);
  const std::vector<std::string> renamed = keys_of(layout);
  E5V_ASSERT(published.size() == renamed.size());
  std::map<std::string, std::string> keys;
  for (size_t i = 0; i < published.size(); ++i) keys[published[i]] = renamed[i];
  return keys;
}

void write_model_folder(const std::filesystem::path& folder, const Golden& golden, KeyLayout layout,
                        const std::string& config_name) {
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(golden.file(config_name), folder / "config.json",
                             std::filesystem::copy_options::overwrite_existing);
  std::map<std::string, torch::Tensor> tensors = golden.tensors("model.safetensors");
  if (layout != KeyLayout::kPublished) {
    std::map<std::string, torch::Tensor> renamed;
    for (const auto& [published, key] : renamed_keys(golden, layout)) {
      renamed[key] = tensors.at(published);
    }
    tensors = std::move(renamed);
  }
  write_tensors(folder / "model.safetensors", tensors);
}

}  // namespace e5v::detail
