#include "e5v/nn/weight_form.h"

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

/// A weight packed as it is, in a floating type.
class PackedForm final : public WeightForm {
 public:
  PackedForm(std::string_view name, at::ScalarType dtype) : name_(name), dtype_(dtype) {}

  std::string_view name() const override { return name_; }
  double bits_per_value() const override { return 8.0 * c10::elementSize(dtype_); }
  at::ScalarType product_dtype() const override { return dtype_; }
  std::unique_ptr<LinearStorage> make_storage(const std::vector<at::Tensor>& parts) const override {
    return std::make_unique<PackedStorage>(PackedWeight(join_parts(parts), dtype_));
  }

 private:
  std::string_view name_;
  at::ScalarType dtype_;
};

}  // namespace

const WeightForm& float32_form() {
  static const PackedForm form("fp32", at::kFloat);
  return form;
}

const WeightForm& bfloat16_form() {
  static const PackedForm form("bf16", at::kBFloat16);
  return form;
}

const RoundedForm* as_rounded(const WeightForm& form) {
  return dynamic_cast<const RoundedForm*>(&form);
}

at::Tensor join_parts(const std::vector<at::Tensor>& parts) {
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

at::Tensor join_parts(const std::vector<RoundedPart>& parts, size_t index) {
  std::vector<at::Tensor> tensors;
  for (const RoundedPart& part : parts) tensors.push_back(part.at(index));
  return join_parts(tensors).contiguous();
}

std::vector<RoundedPart> cut_into_parts(const std::vector<at::Tensor>& parts,
                                        const std::vector<at::Tensor>& rows,
                                        const at::Tensor& shared) {
  std::vector<RoundedPart> result;
  int64_t first = 0;
  for (const at::Tensor& part : parts) {
    RoundedPart& rounded = result.emplace_back();
    for (const at::Tensor& tensor : rows) {
      rounded.push_back(tensor.narrow(0, first, part.size(0)));
    }
    rounded.push_back(shared);
    first += part.size(0);
  }
  return result;
}

at::Tensor shared_tensor(const std::vector<RoundedPart>& parts, size_t index) {
  for (const RoundedPart& part : parts) {
    if (!at::equal(part.at(index), parts[0].at(index))) {
      throw InputError("weights that are one product have different channels");
    }
  }
  return parts[0].at(index).contiguous();
}

}  // namespace e5v::detail
