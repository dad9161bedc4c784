#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "e5v/base/options.h"
#include "e5v/eval/image_set.h"

namespace e5v::detail {

/// What protocols over pictures are told about their data.
struct DataOptions {
  /// The data set's folder, or for captions the file itself.
  std::filesystem::path data;
  /// Folder of the pictures; empty = where the data set has them.
  std::filesystem::path images;
  /// Split of the data set.
  std::string split;
  OnMissing on_missing = OnMissing::kStop;
  /// Queries shown in each list of best and worst.
  int64_t num_examples = 8;

  /// With the split that is taken where none is given.
  explicit DataOptions(std::string default_split) : split(std::move(default_split)) {}

  /// Declares --data, --images, --split and --on-error.
  void register_options(OptionRegistry& registry);
  /// Declares --examples.
  void register_examples(OptionRegistry& registry);
  /// Throws ConfigError.
  void validate() const;
};

/// Declares --data. `check_data` throws ConfigError where it was not given.
void register_data(OptionRegistry& registry, std::filesystem::path& data);
void check_data(const std::filesystem::path& data);

}  // namespace e5v::detail
