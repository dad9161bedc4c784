#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "e5v/checkpoint/dtype.h"
#include "e5v/model/architecture.h"
#include "e5v/model/checkpoint_report.h"
#include "e5v/model/precision.h"

namespace e5v::detail {

/// What a model folder holds, found without loading any weight.
struct ModelInspection {
  struct Part {
    std::string name;
    uint64_t num_parameters = 0;  ///< that embedding needs
  };
  struct StoredType {
    uint64_t num_tensors = 0;
    uint64_t num_bytes = 0;
  };
  struct File {
    std::string name;
    uint64_t num_bytes = 0;
  };

  std::shared_ptr<const Architecture> architecture;
  /// Of the architecture, and the token embeddings.
  std::vector<Part> parts;
  /// Bytes of the weights once loaded, without any activation.
  std::map<Precision, uint64_t> memory_bytes;
  /// Files that embedding needs and the folder lacks, weights aside.
  std::vector<std::string> missing_files;

  /// False if the folder has no weights at all, or some that cannot be opened.
  bool has_weights = false;
  /// Why the weights cannot be opened; empty otherwise.
  std::string weights_error;
  std::vector<File> weight_files;
  std::map<DType, StoredType> stored_types;
  /// Stored tensors that embedding does not need, such as the language model's head.
  uint64_t num_unused_tensors = 0;
  /// Of a folder that `e5v quantize` wrote.
  std::optional<Precision> stored_precision;
  CheckpointReport report;

  uint64_t num_parameters() const;
  /// Everything that loading would fail on, in one line; empty if nothing.
  std::string problems() const;
};

/// Looks at `model_dir`, which needs config.json only. Throws FileError, FormatError or ConfigError
/// if that cannot be read; what is wrong with the rest is in the result.
ModelInspection inspect_model(const std::filesystem::path& model_dir);

}  // namespace e5v::detail
