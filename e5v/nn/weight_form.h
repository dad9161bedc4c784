#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "e5v/nn/linear.h"

namespace e5v {

/// How a weight lies in memory for inference on the CPU.
enum class WeightForm {
  kFloat32,   ///< PackedWeight
  kBFloat16,  ///< PackedWeight
  kInt8,      ///< PackedWeight
  kInt4,      ///< Int4Storage
  kNf4,       ///< Nf4Storage
};

/// One of the tensors that a rounded weight consists of. In a checkpoint its name is that of the
/// weight and `suffix`.
struct FormTensor {
  std::string suffix;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
};

/// What a weight [out_features, in_features] of that form consists of (docs/formats.md); empty for
/// the forms that are plain tensors.
std::vector<FormTensor> form_tensors(WeightForm form, int64_t out_features, int64_t in_features);

/// The tensors of one part of a weight, in the order of form_tensors.
using RoundedPart = std::vector<at::Tensor>;

/// The storage of a weight whose rows are those of `parts` ([out, in] each, a floating dtype, CPU)
/// end to end.
std::unique_ptr<LinearStorage> make_storage(const std::vector<at::Tensor>& parts, WeightForm form);

/// The same in two steps, with the same bits: rounds the parts, and makes the storage of what was
/// rounded. For the forms that have form_tensors. Throws InputError where what was rounded does not
/// fit together. With `inputs` [T, in], what the weight is multiplied with, kInt4 is rounded for
/// them (quantize_int4); then the bits are others.
std::vector<RoundedPart> round_parts(const std::vector<at::Tensor>& parts, WeightForm form,
                                     const at::Tensor& inputs = {});
std::unique_ptr<LinearStorage> make_storage(const std::vector<RoundedPart>& parts,
                                            int64_t in_features, WeightForm form);

}  // namespace e5v
