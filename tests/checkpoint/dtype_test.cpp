#include "e5v/checkpoint/dtype.h"

#include <gtest/gtest.h>

#include <vector>

namespace e5v::detail {
namespace {

TEST(DType, NamesAndTypesAreEachOthersInverse) {
  for (int i = 0; i <= static_cast<int>(DType::BOOL); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(find_dtype(dtype_name(dtype)), dtype);
  }
  EXPECT_EQ(dtype_name(DType::F8_E4M3), "F8_E4M3");
  EXPECT_EQ(find_dtype("f32"), std::nullopt);
  EXPECT_EQ(find_dtype(""), std::nullopt);
}

TEST(DType, BytesAndKindAreThoseOfTheName) {
  for (int i = 0; i <= static_cast<int>(DType::BOOL); ++i) {
    const auto dtype = static_cast<DType>(i);
    const std::string_view name = dtype_name(dtype);
    const size_t bytes = name.ends_with("64")   ? 8
                         : name.ends_with("32") ? 4
                         : name.ends_with("16") ? 2
                                                : 1;
    EXPECT_EQ(dtype_bytes(dtype), bytes) << name;
    EXPECT_EQ(is_floating_point(dtype), name.find('F') != name.npos) << name;
  }
}

TEST(DType, SizesOfShapesAreCheckedForOverflow) {
  const auto num_elements = [](std::vector<int64_t> shape) { return checked_num_elements(shape); };
  constexpr int64_t kLarge = int64_t{1} << 31;
  EXPECT_EQ(num_elements({}), 1);
  EXPECT_EQ(num_elements({2, 3, 4}), 24);
  EXPECT_EQ(num_elements({kLarge, kLarge, 0}), 0);
  EXPECT_EQ(num_elements({kLarge, kLarge - 1}), (uint64_t{1} << 62) - (uint64_t{1} << 31));
  EXPECT_EQ(num_elements({kLarge, kLarge, 2}), std::nullopt);
  EXPECT_EQ(num_elements({2, -1}), std::nullopt);
  EXPECT_EQ(num_elements({0, -1}), std::nullopt);
  EXPECT_EQ(checked_tensor_bytes(DType::F32, std::vector<int64_t>{kLarge, kLarge / 4}),
            int64_t{1} << 62);
  EXPECT_EQ(checked_tensor_bytes(DType::F32, std::vector<int64_t>{kLarge, kLarge / 2}),
            std::nullopt);
}

}  // namespace
}  // namespace e5v::detail
