#include "e5v/embed/prepare.h"
#include "e5v/model/packed_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace e5v::detail {
namespace {

using testing::ElementsAre;

std::vector<int64_t> values_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel()};
}

class CollateTest : public testing::Test {
 protected:
  const ItemPreparer preparer_{std::filesystem::path(E5V_SOURCE_DIR) / "models/shapes-mini"};
};

TEST_F(CollateTest, PositionsCountFromZeroInEachItem) {
  const std::vector<PreparedItem> items = {{.input_ids = {7, 8, 9}}, {.input_ids = {5, 6}}};
  const PackedBatch batch = preparer_.collate(items);
  EXPECT_THAT(values_of(batch.input_ids), ElementsAre(7, 8, 9, 5, 6));
  EXPECT_THAT(values_of(batch.position_ids), ElementsAre(0, 1, 2, 0, 1));
  EXPECT_EQ(batch.position_ids.dim(), 1);
  EXPECT_FALSE(batch.pixel_values.defined());
}

TEST_F(CollateTest, PositionsOfSeveralAxesLieAxisByAxis) {
  const std::vector<PreparedItem> items = {
      {.input_ids = {7, 8}, .position_ids = {0, 1, 10, 11, 20, 21}},
      {.input_ids = {5}, .position_ids = {3, 4, 6}}};
  const PackedBatch batch = preparer_.collate(items);
  EXPECT_THAT(batch.position_ids.sizes(), ElementsAre(3, 3));
  EXPECT_THAT(values_of(batch.position_ids), ElementsAre(0, 1, 3, 10, 11, 4, 20, 21, 6));
}

}  // namespace
}  // namespace e5v::detail
