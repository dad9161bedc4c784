#include <ATen/ceil_div.h>

#include <utility>

#include "e5v/nn/nf4.h"
#include "e5v/nn/weight_form.h"

namespace e5v::detail {
namespace {

class Nf4Form final : public RoundedForm {
 public:
  std::string_view name() const override { return "nf4"; }
  double bits_per_value() const override { return 4 + 8.0 / kNf4Block; }  // with the blocks' scales
  at::ScalarType product_dtype() const override { return at::kBFloat16; }

  std::vector<FormTensor> tensors(int64_t out_features, int64_t in_features) const override {
    const int64_t size = out_features * in_features, blocks = at::ceil_div(size, kNf4Block);
    return {{"", at::kByte, {at::ceil_div(size, int64_t{2})}},
            {"_absmax", at::kByte, {blocks}},
            {"_nested_absmax", at::kFloat, {at::ceil_div(blocks, kNf4NestedBlock)}},
            {"_offset", at::kFloat, {1}}};
  }

  std::vector<RoundedPart> round(const std::vector<at::Tensor>& parts,
                                 const at::Tensor&) const override {
    std::vector<RoundedPart> result;
    for (const at::Tensor& part : parts) {
      const Nf4Tensor rounded = quantize_nf4(part);
      result.push_back({rounded.codes, rounded.absmax, rounded.nested_absmax,
                        at::full({1}, rounded.offset, at::kFloat)});
    }
    return result;
  }

  std::unique_ptr<LinearStorage> load(const std::vector<RoundedPart>& parts,
                                      int64_t in_features) const override {
    std::vector<Nf4Tensor> tensors;
    for (const RoundedPart& part : parts) {
      // in_features divides it, or the last half is empty
      const int64_t size = part.at(0).numel() * 2;
      tensors.push_back({.codes = part[0].contiguous(),
                         .absmax = part[1].contiguous(),
                         .nested_absmax = part[2].contiguous(),
                         .offset = part[3].item<float>(),
                         .shape = {size / in_features, in_features}});
    }
    return std::make_unique<Nf4Storage>(std::move(tensors));
  }
};

}  // namespace

const RoundedForm& nf4_form() {
  static const Nf4Form form;
  return form;
}

}  // namespace e5v::detail
