#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

/// All of them.
std::vector<Precision> precisions();

/// int8, int4 and nf4: what `e5v quantize` writes.
bool is_quantized(Precision precision);
std::vector<Precision> quantized_precisions();
/// Their names, for a message: "int8, int4 or nf4".
std::string quantized_precision_names();
/// Whether the language model's weights can be rounded for given inputs.
bool can_be_calibrated(Precision precision);
/// Of the layout of such a precision's folders: which weights have which form, and those forms.
int layout_version(Precision precision);

/// What measure_product_rate (nn/product_rate.h) says of the language model's products.
double measure_product_rate(Precision precision);

}  // namespace e5v::detail
