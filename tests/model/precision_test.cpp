#include "e5v/model/precision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace e5v::detail {
namespace {

TEST(PrecisionTest, EveryOneIsFoundByItsName) {
  EXPECT_THAT(precisions(), testing::Contains(Precision::kFloat16));
  for (const Precision precision : precisions()) {
    EXPECT_EQ(find_precision(precision_name(precision)), precision);
  }
  EXPECT_EQ(find_precision("fp64"), std::nullopt);
}

TEST(PrecisionTest, ThoseOfWhichFoldersAreWrittenAreNamed) {
  EXPECT_THAT(quantized_precisions(),
              testing::ElementsAre(Precision::kInt8, Precision::kInt4, Precision::kNf4));
  EXPECT_EQ(quantized_precision_names(), "int8, int4 or nf4");
}

}  // namespace
}  // namespace e5v::detail
