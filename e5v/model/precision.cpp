#include "e5v/model/precision.h"

#include <fmt/ranges.h>

#include <array>

#include "e5v/base/error.h"
#include "e5v/model/precision_forms.h"
#include "e5v/nn/packed_weight.h"
#include "e5v/nn/product_rate.h"
#include "e5v/nn/rounded_forms.h"

namespace e5v::detail {
namespace {

/// All that a precision is: which form each weight has, and what is between the products.
struct Policy {
  const char* name;
  Precision precision;
  /// Of the language model's first kExactLayers layers, of its others, and of all other weights.
  const WeightForm& (*first_layers)();
  const WeightForm& (*text_model)();
  const WeightForm& (*others)();
  /// Between the products; Undefined: bf16 where the CPU multiplies it, else fp32.
  at::ScalarType compute_dtype;
  /// Of the layout of its folders; 0: none are written.
  int layout_version = 0;
};

template <const RoundedForm& (*form)()>
const WeightForm& rounded() {
  return form();
}

constexpr auto kFp32 = float32_form, kBf16 = bfloat16_form;
constexpr auto kInt8 = rounded<int8_form>, kInt4 = rounded<int4_form>, kNf4 = rounded<nf4_form>;
constexpr at::ScalarType kNative = at::ScalarType::Undefined;

// The tower is a twentieth of a large model's weights, and pictures pass through it first: what it
// loses nothing after it can mend.
constexpr std::array kPolicies = {
    Policy{"auto", Precision::kAuto, kFp32, kFp32, kFp32, at::kFloat},
    Policy{"fp32", Precision::kFloat32, kFp32, kFp32, kFp32, at::kFloat},
    Policy{"bf16", Precision::kBFloat16, kBf16, kBf16, kBf16, at::kBFloat16},
    Policy{"fp16", Precision::kFloat16, kFp32, kFp32, kFp32, at::kHalf},
    Policy{"int8", Precision::kInt8, kBf16, kInt8, kInt8, kNative, 1},
    Policy{"int4", Precision::kInt4, kInt8, kInt4, kInt8, kNative, 2},
    Policy{"nf4", Precision::kNf4, kNf4, kNf4, kBf16, kNative, 1},
};

/// Layers of the language model that int8 leaves in bf16, and int4 in 8 bits: what the first ones
/// lose, all others pass on. Of 22 layers with random weights they make three fifths of the error.
constexpr int kExactLayers = 2;

const Policy& policy_of(Precision precision) {
  for (const Policy& policy : kPolicies) {
    if (policy.precision == precision) return policy;
  }
  throw_broken_invariant("precision is an enumerator", __FILE__, __LINE__);
}

}  // namespace

std::optional<Precision> find_precision(std::string_view name) {
  for (const Policy& policy : kPolicies) {
    if (name == policy.name) return policy.precision;
  }
  return std::nullopt;
}

Precision precision_from_name(const std::string& name) {
  if (const auto precision = find_precision(name)) return *precision;
  std::vector<std::string> names;
  for (const Policy& policy : kPolicies) names.push_back(policy.name);
  throw ConfigError(fmt::format("precision '{}' is not known, expected one of {}", printable(name),
                                fmt::join(names, ", ")));
}

const char* precision_name(Precision precision) { return policy_of(precision).name; }

std::vector<Precision> precisions() {
  std::vector<Precision> all;
  for (const Policy& policy : kPolicies) all.push_back(policy.precision);
  return all;
}

bool is_quantized(Precision precision) { return layout_version(precision) > 0; }

std::vector<Precision> quantized_precisions() {
  std::vector<Precision> precisions;
  for (const Policy& policy : kPolicies) {
    if (policy.layout_version > 0) precisions.push_back(policy.precision);
  }
  return precisions;
}

std::string quantized_precision_names() {
  std::vector<std::string> names;
  for (const Precision precision : quantized_precisions()) {
    names.push_back(precision_name(precision));
  }
  const std::string last = names.back();
  names.pop_back();
  return fmt::format("{} or {}", fmt::join(names, ", "), last);
}

bool can_be_calibrated(Precision precision) {
  const RoundedForm* form = as_rounded(policy_of(precision).text_model());
  return form != nullptr && form->can_be_calibrated();
}

int layout_version(Precision precision) { return policy_of(precision).layout_version; }

at::ScalarType compute_dtype(Precision precision) {
  const at::ScalarType dtype = policy_of(precision).compute_dtype;
  if (dtype != kNative) return dtype;
  return PackedWeight::has_native_bfloat16() ? at::kBFloat16 : at::kFloat;
}

double measure_product_rate(Precision precision) {
  return measure_product_rate(product_dtype(precision));
}

at::ScalarType product_dtype(Precision precision) {
  return policy_of(precision).text_model().product_dtype();
}

const WeightForm& weight_form(const WeightNames& names, std::string_view name,
                              Precision precision) {
  const Policy& policy = policy_of(precision);
  if (!names.in_text_model(name)) return policy.others();
  const bool in_first_layers = names.text_layer(name).value_or(kExactLayers) < kExactLayers;
  return in_first_layers ? policy.first_layers() : policy.text_model();
}

std::vector<FormTensor> rounded_tensors(const WeightNames& names, const std::string& name,
                                        const Linear& linear, std::optional<Precision> stored) {
  if (!stored) return {};
  const RoundedForm* form = as_rounded(weight_form(names, name, *stored));
  return form == nullptr ? std::vector<FormTensor>()
                         : form->tensors(linear.out_features(), linear.in_features());
}

}  // namespace e5v::detail
