#pragma once

#include <gmock/gmock.h>
#include <torch/types.h>

#include <ostream>

namespace e5v::detail {

/// How far a value may be from the expected one: absolute + relative * |expected|.
struct Tolerance {
  double absolute = 0;
  double relative = 0;
};

/// gmock matcher for tensors: same shape, and every element within `tolerance` of `expected`. A NaN
/// is close to nothing. Types may differ; both are compared as float64. On mismatch it says how
/// many elements are off and where the worst one is.
class AllClose {
 public:
  using is_gtest_matcher = void;

  AllClose(torch::Tensor expected, Tolerance tolerance)
      : expected_(std::move(expected)), tolerance_(tolerance) {}
  AllClose(torch::Tensor expected, double absolute, double relative = 0)
      : AllClose(std::move(expected), Tolerance{absolute, relative}) {}

  bool MatchAndExplain(const torch::Tensor& actual, std::ostream* listener) const;
  void DescribeTo(std::ostream* out) const;
  void DescribeNegationTo(std::ostream* out) const;

 private:
  torch::Tensor expected_;
  Tolerance tolerance_;
};

}  // namespace e5v::detail
