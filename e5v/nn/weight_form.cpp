#include "e5v/nn/weight_form.h"

#include <ATen/ceil_div.h>

#include <utility>

#include "e5v/base/error.h"
#include "e5v/kernels/four_bits.h"
#include "e5v/nn/nf4.h"
#include "e5v/nn/packed_weight.h"
#include "e5v/nn/quantized_weight.h"

namespace e5v {
namespace {

at::Tensor joined(const std::vector<at::Tensor>& parts) {
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

/// Tensor `index` of all parts, end to end.
at::Tensor joined(const std::vector<RoundedPart>& parts, size_t index) {
  std::vector<at::Tensor> tensors;
  for (const RoundedPart& part : parts) tensors.push_back(part.at(index));
  return joined(tensors).contiguous();
}

/// `rows` cut where the parts end.
std::vector<RoundedPart> cut(const std::vector<at::Tensor>& parts,
                             const std::vector<at::Tensor>& rows, const at::Tensor& channels) {
  std::vector<RoundedPart> result;
  int64_t first = 0;
  for (const at::Tensor& part : parts) {
    RoundedPart& rounded = result.emplace_back();
    for (const at::Tensor& tensor : rows) {
      rounded.push_back(tensor.narrow(0, first, part.size(0)));
    }
    rounded.push_back(channels);
    first += part.size(0);
  }
  return result;
}

/// The channels, which all parts share.
at::Tensor shared_channels(const std::vector<RoundedPart>& parts, size_t index) {
  for (const RoundedPart& part : parts) {
    if (!at::equal(part.at(index), parts[0].at(index))) {
      throw InputError("weights that are one product have different channels");
    }
  }
  return parts[0].at(index).contiguous();
}

Nf4Tensor nf4_tensor(const RoundedPart& part, int64_t in_features) {
  const int64_t size = part.at(0).numel() * 2;  // in_features divides it, or the last half is empty
  return {part[0].contiguous(),
          part[1].contiguous(),
          part[2].contiguous(),
          part[3].item<float>(),
          {size / in_features, in_features}};
}

}  // namespace

std::vector<FormTensor> form_tensors(WeightForm form, int64_t out_features, int64_t in_features) {
  const int64_t groups = at::ceil_div(in_features, kInt4Group);
  const int64_t size = out_features * in_features, blocks = at::ceil_div(size, kNf4Block);
  switch (form) {
    case WeightForm::kInt8:
      return {{"", at::kChar, {out_features, in_features}},
              {"_scale", at::kFloat, {out_features}},
              {"_channels", at::kFloat, {in_features}}};
    case WeightForm::kInt4:
      return {{"", at::kByte, {out_features, groups * kInt4Group / 2}},
              {"_multiplier", at::kByte, {out_features, groups}},
              {"_scale", at::kFloat, {out_features}},
              {"_channels", at::kFloat, {in_features}}};
    case WeightForm::kNf4:
      return {{"", at::kByte, {at::ceil_div(size, int64_t{2})}},
              {"_absmax", at::kByte, {blocks}},
              {"_nested_absmax", at::kFloat, {at::ceil_div(blocks, kNf4NestedBlock)}},
              {"_offset", at::kFloat, {1}}};
    default:
      return {};
  }
}

std::vector<RoundedPart> round_parts(const std::vector<at::Tensor>& parts, WeightForm form,
                                     const at::Tensor& inputs) {
  if (form == WeightForm::kNf4) {
    std::vector<RoundedPart> result;
    for (const at::Tensor& part : parts) {
      const Nf4Tensor rounded = quantize_nf4(part);
      result.push_back({rounded.codes, rounded.absmax, rounded.nested_absmax,
                        at::full({1}, rounded.offset, at::kFloat)});
    }
    return result;
  }
  const at::Tensor weight = joined(parts);
  if (form == WeightForm::kInt4) {
    const Int4Tensor rounded = quantize_int4(weight, inputs);
    return cut(parts, {rounded.codes, rounded.multipliers, rounded.scales}, rounded.channels);
  }
  E5V_ASSERT(form == WeightForm::kInt8);
  const Int8Tensor rounded = quantize_int8(weight);
  return cut(parts, {rounded.values, rounded.scales}, rounded.channels);
}

std::unique_ptr<LinearStorage> make_storage(const std::vector<RoundedPart>& parts,
                                            int64_t in_features, WeightForm form) {
  switch (form) {
    case WeightForm::kInt8: {
      std::vector<Int8Tensor> tensors;
      for (const RoundedPart& part : parts) {
        tensors.push_back({part.at(0), part.at(1).contiguous(), part.at(2).contiguous()});
      }
      return std::make_unique<PackedStorage>(PackedWeight(tensors));
    }
    case WeightForm::kInt4:
      return std::make_unique<Int4Storage>(Int4Tensor{joined(parts, 0), joined(parts, 1),
                                                      joined(parts, 2), shared_channels(parts, 3)});
    case WeightForm::kNf4: {
      std::vector<Nf4Tensor> tensors;
      for (const RoundedPart& part : parts) tensors.push_back(nf4_tensor(part, in_features));
      return std::make_unique<Nf4Storage>(std::move(tensors));
    }
    default:
      throw_broken_invariant("a plain form is not made of rounded parts", __FILE__, __LINE__);
  }
}

std::unique_ptr<LinearStorage> make_storage(const std::vector<at::Tensor>& parts, WeightForm form) {
  switch (form) {
    case WeightForm::kFloat32:
      return std::make_unique<PackedStorage>(
          PackedWeight(joined(parts), PackedWeight::Precision::kFloat32));
    case WeightForm::kBFloat16:
      return std::make_unique<PackedStorage>(
          PackedWeight(joined(parts), PackedWeight::Precision::kBFloat16));
    default:
      return make_storage(round_parts(parts, form), parts.at(0).size(1), form);
  }
}

}  // namespace e5v
