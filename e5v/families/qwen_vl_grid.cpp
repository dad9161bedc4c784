#include "e5v/families/qwen_vl_grid.h"

#include <algorithm>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

ImageSize grid_of(const ImageSpan& image, int64_t merge_size) {
  const ImageSize grid = image.layout.grid.value_or(ImageSize{});
  const bool fits = grid.height > 0 && grid.width > 0 && grid.height % merge_size == 0 &&
                    grid.width % merge_size == 0 && grid.height * grid.width == image.num_rows;
  if (fits) return grid;
  throw InputError(fmt::format(
      "a picture of {} rows has a grid of {} x {} patches (w x h), expected as many in whole cells "
      "of {}",
      image.num_rows, grid.width, grid.height, merge_size));
}

}  // namespace

PatchCoordinates patch_coordinates(const std::vector<ImageSpan>& images, int64_t merge_size) {
  const int64_t m = merge_size;
  std::vector<int64_t> y, x, height, width;
  std::vector<int32_t> cu_seqlens = {0};
  for (const ImageSpan& image : images) {
    const ImageSize grid = grid_of(image, m);
    for (int64_t top = 0; top < grid.height; top += m) {
      for (int64_t left = 0; left < grid.width; left += m) {
        for (int64_t i = 0; i < m * m; ++i) {
          y.push_back(top + i / m);
          x.push_back(left + i % m);
        }
      }
    }
    height.resize(y.size(), grid.height);
    width.resize(y.size(), grid.width);
    cu_seqlens.push_back(static_cast<int32_t>(y.size()));
  }
  const auto column = [](const std::vector<int64_t>& values) {
    return at::tensor(values, at::kLong);
  };
  return {column(y), column(x), column(height), column(width), at::tensor(cu_seqlens, at::kInt)};
}

RotaryEmbedding::Tables axial_rotary(const PatchCoordinates& patches, int64_t head_dim,
                                     double theta) {
  const RotaryEmbedding rotary(head_dim / 2, theta, std::nullopt);
  const auto by_y = rotary.tables(patches.y), by_x = rotary.tables(patches.x);
  return {at::cat({by_y.cos, by_x.cos}, 1), at::cat({by_y.sin, by_x.sin}, 1)};
}

std::vector<int64_t> mrope_position_ids(std::span<const int64_t> input_ids,
                                        std::span<const PreparedPicture> pictures,
                                        int64_t merge_size) {
  if (pictures.empty()) return {};
  std::vector<int64_t> time, height, width;
  int64_t next = 0;
  size_t picture = 0;
  for (size_t token = 0; token < input_ids.size();) {
    if (input_ids[token] != kImageFeature) {
      for (auto* axis : {&time, &height, &width}) axis->push_back(next);
      ++next;
      ++token;
      continue;
    }
    E5V_ASSERT(picture < pictures.size() && pictures[picture].layout.grid);
    const ImageSize grid = *pictures[picture++].layout.grid;
    const ImageSize cells{grid.height / merge_size, grid.width / merge_size};
    for (int64_t row = 0; row < cells.height; ++row) {
      for (int64_t column = 0; column < cells.width; ++column) {
        time.push_back(next);
        height.push_back(next + row);
        width.push_back(next + column);
      }
    }
    next += std::max(cells.height, cells.width);
    token += static_cast<size_t>(cells.height * cells.width);
  }
  E5V_ASSERT(time.size() == input_ids.size() && picture == pictures.size());
  std::vector<int64_t> all = std::move(time);
  all.insert(all.end(), height.begin(), height.end());
  all.insert(all.end(), width.begin(), width.end());
  return all;
}

}  // namespace e5v::detail
