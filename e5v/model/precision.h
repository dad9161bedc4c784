#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/checkpoint/weight_names.h"
#include "e5v/nn/weight_form.h"

namespace e5v::detail {

/// Operands of the matrix products. The residual stream, norms, softmax and rotary are always fp32.
enum class Precision {
  kAuto,  ///< CPU: bf16 if the CPU multiplies it and the checkpoint has 16-bit weights, else fp32;
          ///< CUDA: the checkpoint's 16-bit type, bf16 for others; of a quantised checkpoint its
          ///< own
  kFloat32,
  kBFloat16,
  kFloat16,  ///< CUDA only
  kInt8,     ///< CPU only, packed only: products of 8-bit integers, attention in bf16 or fp32; the
             ///< language model's first two layers as kBFloat16
  kInt4,     ///< products as kInt8; the language model's weights lie in 4 bits, those of its first
             ///< two layers and all others in 8
  kNf4,      ///< CPU only: as kBFloat16; the language model's weights lie in 4 bits (QLoRA's)
};

/// The precision called "auto", "fp32", "bf16", "fp16", "int8", "int4" or "nf4".
std::optional<Precision> find_precision(std::string_view name);
/// The same; throws ConfigError for another name.
Precision precision_from_name(const std::string& name);
const char* precision_name(Precision precision);

/// int8, int4 and nf4: what `e5v quantize` writes.
bool is_quantized(Precision precision);
std::vector<Precision> quantized_precisions();
/// Their names, for a message: "int8, int4 or nf4".
std::string quantized_precision_names();
/// Whether the language model's weights can be rounded for given inputs.
bool can_be_calibrated(Precision precision);
/// Of the layout of such a precision's folders: which weights have which form, and those forms.
int layout_version(Precision precision);

/// The type of what is between the products; `precision` is not kAuto.
at::ScalarType compute_dtype(Precision precision);
/// The type of the operands of the language model's products; kChar: 8-bit integers.
at::ScalarType product_dtype(Precision precision);

/// How the weight of the Linear of that canonical name lies in memory, packed for inference;
/// `precision` is neither kAuto nor kFloat16.
const WeightForm& weight_form(const WeightNames& names, std::string_view name, Precision precision);

/// What the weight of that Linear consists of in a checkpoint that is rounded to `stored`; empty
/// where it is a plain tensor.
std::vector<FormTensor> rounded_tensors(const WeightNames& names, const std::string& name,
                                        const Linear& linear, std::optional<Precision> stored);

}  // namespace e5v::detail
