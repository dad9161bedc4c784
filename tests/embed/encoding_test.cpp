#include "e5v/embed/encoding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "e5v/checkpoint/convert.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;

std::vector<std::byte> encoded(const std::vector<float>& vector, Encoding encoding) {
  std::vector<std::byte> out;
  append_encoded(vector, encoding, out);
  EXPECT_EQ(static_cast<int64_t>(out.size()),
            encoded_size(encoding, static_cast<int64_t>(vector.size())) *
                static_cast<int64_t>(npy_item_bytes(encoding_type(encoding))));
  return out;
}

TEST(EncodingTest, Int8ScalesTheLargestValueTo127) {
  const auto bytes = encoded({0.5F, -0.25F, 0.0F, 0.1F, -0.5F}, Encoding::kInt8);
  std::vector<int> values;
  for (const std::byte byte : bytes) values.push_back(static_cast<int8_t>(byte));
  EXPECT_THAT(values, ElementsAre(127, -64, 0, 25, -127));
  EXPECT_EQ(encoded({0, 0}, Encoding::kInt8), std::vector<std::byte>(2));
}

TEST(EncodingTest, BinaryPacksTheFirstDimensionIntoTheHighestBit) {
  const auto bytes = encoded({1, -1, 0, 1, 1, 1, -1, -1, 0.1F, -3}, Encoding::kBinary);
  EXPECT_THAT(bytes, ElementsAre(std::byte{0b10011100}, std::byte{0b10000000}));
}

TEST(EncodingTest, Float16RoundsToNearest) {
  const auto bytes = encoded({1.0F / 3, -2.0F}, Encoding::kFloat16);
  uint16_t halves[2];
  std::memcpy(halves, bytes.data(), sizeof(halves));
  EXPECT_EQ(halves[0], float32_to_float16(1.0F / 3));
  EXPECT_EQ(float16_to_float32(halves[1]), -2.0F);
}

TEST(EncodingTest, TruncationKeepsTheFirstDimensionsAtUnitLength) {
  std::vector<float> vector = {3, 4, 12};
  truncate_and_normalize(vector, 2);
  EXPECT_THAT(vector, ElementsAre(0.6F, 0.8F));
  vector = {3, 4, 12};
  truncate_and_normalize(vector, 0);
  EXPECT_NEAR(vector[2], 12.0 / 13, 1e-7);
  vector = {0, 0};
  truncate_and_normalize(vector, 0);
  EXPECT_THAT(vector, ElementsAre(0, 0));
}

}  // namespace
}  // namespace e5v::detail
