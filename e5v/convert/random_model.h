#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "e5v/base/options.h"
#include "e5v/base/progress.h"
#include "e5v/checkpoint/dtype.h"

namespace e5v::detail {

struct RandomModelOptions {
  /// One of preset_names().
  std::string preset = "tiny";
  /// Equal seeds give equal weights, whatever the number of threads; another dtype rounds them.
  int64_t seed = 0;
  /// A file of texts whose words become the tokens of "shapes-mini" and "shapes-mini-clip"; for no
  /// other preset.
  std::filesystem::path texts;
  /// BF16, F16 or F32.
  DType dtype = DType::BF16;

  void register_options(OptionRegistry& registry);
};

/// Writes a complete checkpoint folder of a preset's shape with random weights: what transformers
/// and e5v need to load it, in the published key layout. Matrices are drawn with standard deviation
/// 1/√in_features, all else with 0.02, around 1 for the scales of norms and 0 otherwise, so that
/// activations stay moderate at any width. Weights are streamed to disk; memory does not grow with
/// the model.
///
/// `folder` must not exist, or be empty; it appears only when complete. `progress` counts bytes.
/// Throws ConfigError for an unknown preset, FileError.
void write_random_model(const std::filesystem::path& folder, const RandomModelOptions& options,
                        const ProgressCallback& progress = nullptr);

}  // namespace e5v::detail
