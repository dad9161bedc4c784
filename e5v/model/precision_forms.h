#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/checkpoint/weight_names.h"
#include "e5v/model/precision.h"
#include "e5v/nn/weight_form.h"

namespace e5v::detail {

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
