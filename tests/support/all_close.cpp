#include "tests/support/all_close.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <vector>

namespace e5v::detail {
namespace {

std::vector<int64_t> position_of(int64_t flat_index, c10::IntArrayRef shape) {
  std::vector<int64_t> position(shape.size());
  for (size_t axis = shape.size(); axis-- > 0;) {
    position[axis] = flat_index % shape[axis];
    flat_index /= shape[axis];
  }
  return position;
}

}  // namespace

bool AllClose::MatchAndExplain(const torch::Tensor& actual, std::ostream* listener) const {
  // gtest passes no stream where nobody will read the explanation.
  const auto explain = [&](const std::string& text) {
    if (listener != nullptr) *listener << text;
  };
  if (!actual.defined()) {
    explain("which is undefined");
    return false;
  }
  if (actual.sizes() != expected_.sizes()) {
    explain(fmt::format("which has shape [{}]", fmt::join(actual.sizes(), ", ")));
    return false;
  }
  if (expected_.numel() == 0) return true;

  const auto as_double = [](const torch::Tensor& tensor) {
    return tensor.detach().to(torch::kCPU).to(torch::kFloat64).contiguous();
  };
  const torch::Tensor is = as_double(actual);
  const torch::Tensor should = as_double(expected_);
  // Infinities of one sign are equal, though their difference is NaN.
  const torch::Tensor difference =
      torch::where(is == should, torch::zeros_like(is), (is - should).abs());
  const torch::Tensor allowed = tolerance_.absolute + tolerance_.relative * should.abs();
  const torch::Tensor within = (difference <= allowed).logical_or(is == should);
  const int64_t num_off = is.numel() - within.sum().item<int64_t>();
  // NaN counts as the greatest difference here.
  const torch::Tensor ranked =
      torch::where(difference.isnan(), torch::full_like(difference, INFINITY), difference);
  const int64_t worst = ranked.argmax().item<int64_t>();
  explain(fmt::format(
      "whose greatest difference is {:.3g}, at [{}]: {:.9g}, expected {:.9g}; {} of {} "
      "elements are beyond the tolerance",
      difference.view(-1)[worst].item<double>(), fmt::join(position_of(worst, is.sizes()), ", "),
      is.view(-1)[worst].item<double>(), should.view(-1)[worst].item<double>(), num_off,
      is.numel()));
  return num_off == 0;
}

void AllClose::DescribeTo(std::ostream* out) const {
  *out << fmt::format("is a tensor [{}] within {:g} + {:g} * |expected|",
                      fmt::join(expected_.sizes(), ", "), tolerance_.absolute, tolerance_.relative);
}

void AllClose::DescribeNegationTo(std::ostream* out) const {
  *out << "is not close to the expected tensor";
}

}  // namespace e5v::detail
