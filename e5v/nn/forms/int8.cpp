#include "e5v/nn/quantized_weight.h"
#include "e5v/nn/weight_form.h"

namespace e5v::detail {
namespace {

class Int8Form final : public RoundedForm {
 public:
  std::string_view name() const override { return "int8"; }
  double bits_per_value() const override { return 8; }
  at::ScalarType product_dtype() const override { return at::kChar; }

  std::vector<FormTensor> tensors(int64_t out_features, int64_t in_features) const override {
    return {{"", at::kChar, {out_features, in_features}},
            {"_scale", at::kFloat, {out_features}},
            {"_channels", at::kFloat, {in_features}}};
  }

  std::vector<RoundedPart> round(const std::vector<at::Tensor>& parts,
                                 const at::Tensor&) const override {
    const Int8Tensor rounded = quantize_int8(join_parts(parts));
    return cut_into_parts(parts, {rounded.values, rounded.scales}, rounded.channels);
  }

  std::unique_ptr<LinearStorage> load(const std::vector<RoundedPart>& parts,
                                      int64_t) const override {
    std::vector<Int8Tensor> tensors;
    for (const RoundedPart& part : parts) {
      tensors.push_back({part.at(0), part.at(1).contiguous(), part.at(2).contiguous()});
    }
    return std::make_unique<PackedStorage>(PackedWeight(tensors));
  }
};

}  // namespace

const RoundedForm& int8_form() {
  static const Int8Form form;
  return form;
}

}  // namespace e5v::detail
