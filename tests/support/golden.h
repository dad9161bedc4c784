#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "e5v/base/json.h"
#include "tests/support/all_close.h"

namespace e5v::detail {

/// One item of a golden: a text with `<image>` placeholders and the images that stand for them.
struct GoldenItem {
  std::string name;
  std::vector<int64_t> input_ids;   ///< the image token once per image
  std::vector<std::string> images;  ///< names of the golden's images, in order
  int64_t length = 0;               ///< tokens, once the image features are in
};

/// A folder of tests/goldens. tests/goldens/README.md describes the files and the names in them.
class Golden {
 public:
  const std::filesystem::path& folder() const { return folder_; }
  /// The path of one of its files, which may be another golden's.
  std::filesystem::path file(const std::string& file_name) const;

  /// golden.json.
  const Json& description() const { return description_; }
  /// config.json, or its form of transformers 5, "config_5x.json".
  Json config(const std::string& file_name = "config.json") const;

  /// Every tensor of a safetensors file, by name, on the CPU and in its stored type.
  std::map<std::string, torch::Tensor> tensors(const std::string& file_name) const;
  /// One tensor. Throws InputError where there is none of that name.
  torch::Tensor tensor(const std::string& file_name, const std::string& name) const;
  torch::Tensor input(const std::string& name) const { return tensor("inputs.safetensors", name); }
  torch::Tensor expected(const std::string& name) const {
    return tensor("expected.safetensors", name);
  }
  bool has_expected(const std::string& name) const;

  /// The image's tiles as the model takes them, [tiles, 3, S, S] float32.
  torch::Tensor pixel_values(const std::string& image) const;
  /// {height, width} of the picture that the tiles were cut from.
  std::pair<int64_t, int64_t> image_size(const std::string& image) const;
  std::vector<std::string> images() const;
  std::vector<GoldenItem> items() const;
  GoldenItem item(const std::string& name) const;

  /// The tolerance of `kind`: "stages", "last_hidden_state", "embedding".
  Tolerance tolerance(const std::string& kind) const;

  friend Golden load_golden(const std::string& name);

 private:
  std::filesystem::path folder_;
  Json description_;
};

/// Opens tests/goldens/<name>. Throws FileError or FormatError.
Golden load_golden(const std::string& name);

/// Reads a safetensors file into tensors that own their memory.
std::map<std::string, torch::Tensor> read_tensors(const std::filesystem::path& path);

/// Writes tensors as a safetensors file, in the order of their names.
void write_tensors(const std::filesystem::path& path,
                   const std::map<std::string, torch::Tensor>& tensors);

/// The four key layouts in circulation.
enum class KeyLayout { kPublished, k4_52, k5xMemory, k5xSaved };

/// {published key: key in `layout`} of the golden's model, which must have the keys_*.txt files.
std::map<std::string, std::string> renamed_keys(const Golden& golden, KeyLayout layout);

/// Writes config.json (`config_name` of the golden) and model.safetensors into `folder`, as
/// somebody who has a checkpoint of that layout finds them.
void write_model_folder(const std::filesystem::path& folder, const Golden& golden,
                        KeyLayout layout = KeyLayout::kPublished,
                        const std::string& config_name = "config.json");

}  // namespace e5v::detail
