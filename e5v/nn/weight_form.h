#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/nn/linear.h"

namespace e5v::detail {

/// One of the tensors that a rounded weight consists of. In a checkpoint its name is that of the
/// weight and `suffix`.
struct FormTensor {
  std::string suffix;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
};

/// The tensors of one part of a weight, in the order of WeightForm::tensors.
using RoundedPart = std::vector<at::Tensor>;

/// How a weight lies in memory for inference on the CPU, and in checkpoints that are rounded to it.
/// Immutable; every method is const and thread-safe.
class WeightForm {
 public:
  virtual ~WeightForm() = default;

  virtual std::string_view name() const = 0;

  /// Bits that one value takes, with all that belongs to it.
  virtual double bits_per_value() const = 0;

  /// Type of the operands of its products; kChar: 8-bit integers.
  virtual at::ScalarType product_dtype() const = 0;

  /// The storage of a weight whose rows are those of `parts` ([out, in] each, a floating dtype,
  /// CPU) end to end.
  virtual std::unique_ptr<LinearStorage> make_storage(
      const std::vector<at::Tensor>& parts) const = 0;
};

/// A form of integers: a weight is rounded to it once, kept in a checkpoint, and loaded from there
/// with the same bits.
class RoundedForm : public WeightForm {
 public:
  /// What a weight [out_features, in_features] consists of (docs/formats.md).
  virtual std::vector<FormTensor> tensors(int64_t out_features, int64_t in_features) const = 0;

  /// Rounds the parts. With `inputs` [T, in], what the weight is multiplied with, a form that can
  /// be is rounded for them (quantize_int4); then the bits are others.
  virtual std::vector<RoundedPart> round(const std::vector<at::Tensor>& parts,
                                         const at::Tensor& inputs = {}) const = 0;

  /// Whether `round` heeds inputs.
  virtual bool can_be_calibrated() const { return false; }

  /// The storage of what was rounded. Throws InputError where it does not fit together.
  virtual std::unique_ptr<LinearStorage> load(const std::vector<RoundedPart>& parts,
                                              int64_t in_features) const = 0;

  std::unique_ptr<LinearStorage> make_storage(const std::vector<at::Tensor>& parts) const override {
    return load(round(parts), parts.at(0).size(1));
  }
};

// The forms that nothing is rounded to; the others are in rounded_forms.h.
const WeightForm& float32_form();
const WeightForm& bfloat16_form();

/// `form` if weights are rounded to it, else nullptr.
const RoundedForm* as_rounded(const WeightForm& form);

// For forms.

/// The parts end to end.
at::Tensor join_parts(const std::vector<at::Tensor>& parts);
/// Tensor `index` of all parts, end to end.
at::Tensor join_parts(const std::vector<RoundedPart>& parts, size_t index);
/// `rows` (tensors of as many rows as the parts have together) cut where the parts end, and
/// `shared`, which every part has.
std::vector<RoundedPart> cut_into_parts(const std::vector<at::Tensor>& parts,
                                        const std::vector<at::Tensor>& rows,
                                        const at::Tensor& shared);
/// Tensor `index`, which all parts share. Throws InputError where they do not.
at::Tensor shared_tensor(const std::vector<RoundedPart>& parts, size_t index);

}  // namespace e5v::detail
