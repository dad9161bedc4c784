#pragma once

#include <filesystem>

#include "e5v/base/progress.h"
#include "e5v/model/precision.h"

namespace e5v::detail {

struct PackedBatch;

/// Writes a model folder whose weights are rounded to `precision` (int8, int4 or nf4) once, so that
/// loading it takes no longer than reading it: docs/formats.md says how they lie. Every command
/// that embeds loads it, with the same bits as rounding on load. Tensors that are no matrix
/// product's, or that embedding does not need, are copied as they are, as are configuration and
/// tokenizer; config.json gets a `quantization_config`. In the memory of one layer's weights; the
/// folder appears when it is complete.
///
/// With `calibration` (int4 only) the language model is rounded for what that batch makes of its
/// products' inputs (calibration.h), nearer to the original's results; then in the memory of two
/// layers in fp32, the batch's states, and three matrices [I, I] of double, I being the MLP's
/// width. The bits are then not those of rounding on load.
///
/// Throws FileError (also if `target` exists and is not empty), FormatError as load_model,
/// ConfigError for another precision or weights that are quantised already.
void quantize_checkpoint(const std::filesystem::path& source, const std::filesystem::path& target,
                         Precision precision, const ProgressCallback& progress = nullptr,
                         const PackedBatch* calibration = nullptr);

}  // namespace e5v::detail
