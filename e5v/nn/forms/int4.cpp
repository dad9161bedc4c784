#include <ATen/ceil_div.h>

#include "e5v/kernels/four_bits.h"
#include "e5v/nn/quantized_weight.h"
#include "e5v/nn/weight_form.h"

namespace e5v::detail {
namespace {

class Int4Form final : public RoundedForm {
 public:
  std::string_view name() const override { return "int4"; }
  double bits_per_value() const override { return 4 + 8.0 / kInt4Group; }  // with the multipliers
  at::ScalarType product_dtype() const override { return at::kChar; }

  std::vector<FormTensor> tensors(int64_t out_features, int64_t in_features) const override {
    const int64_t groups = at::ceil_div(in_features, kInt4Group);
    return {{"", at::kByte, {out_features, groups * kInt4Group / 2}},
            {"_multiplier", at::kByte, {out_features, groups}},
            {"_scale", at::kFloat, {out_features}},
            {"_channels", at::kFloat, {in_features}}};
  }

  std::vector<RoundedPart> round(const std::vector<at::Tensor>& parts,
                                 const at::Tensor& inputs) const override {
    const Int4Tensor rounded = quantize_int4(join_parts(parts), inputs);
    return cut_into_parts(parts, {rounded.codes, rounded.multipliers, rounded.scales},
                          rounded.channels);
  }

  bool can_be_calibrated() const override { return true; }

  std::unique_ptr<LinearStorage> load(const std::vector<RoundedPart>& parts,
                                      int64_t) const override {
    return std::make_unique<Int4Storage>(Int4Tensor{.codes = join_parts(parts, 0),
                                                    .multipliers = join_parts(parts, 1),
                                                    .scales = join_parts(parts, 2),
                                                    .channels = shared_tensor(parts, 3)});
  }
};

}  // namespace

const RoundedForm& int4_form() {
  static const Int4Form form;
  return form;
}

}  // namespace e5v::detail
