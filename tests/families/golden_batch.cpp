#include "tests/families/golden_batch.h"

#include "e5v/embed/prepare.h"
#include "e5v/families/load_model.h"

namespace e5v::detail {

std::unique_ptr<LlavaNext> load_llava(const std::filesystem::path& folder,
                                      const LoadOptions& options) {
  std::unique_ptr<Model> model = load_model(folder, options);
  auto* llava = dynamic_cast<LlavaNext*>(model.get());
  if (llava != nullptr) model.release();
  return std::unique_ptr<LlavaNext>(llava);
}

ImageSpan golden_image(const Golden& golden, const LlavaConfig& config, const std::string& image,
                       int64_t first_tile) {
  ImageSpan span{.first_row = first_tile, .num_rows = golden.pixel_values(image).size(0)};
  if (config.kind == LlavaConfig::Kind::kLlavaNext) {
    std::vector<ImageSize> pinpoints;
    for (const auto& [height, width] : config.image_grid_pinpoints) {
      pinpoints.push_back({height, width});
    }
    const auto [height, width] = golden.image_size(image);
    span.layout.anyres = anyres_layout({height, width}, pinpoints, config.vision.image_size,
                                       config.vision.patches_per_side(), ImageProcessing::kCurrent);
  }
  return span;
}

PackedBatch golden_batch(const Golden& golden, const LlavaConfig& config,
                         const std::vector<std::string>& items) {
  PackedBatch batch;
  std::vector<int64_t> ids, positions;
  std::vector<int32_t> cu_seqlens = {0};
  std::vector<at::Tensor> tiles;
  int64_t num_tiles = 0;
  for (const std::string& name : items) {
    const GoldenItem item = golden.item(name);
    size_t image = 0;
    const auto begin = ids.size();
    for (const int64_t id : item.input_ids) {
      if (id != config.image_token_index) {
        ids.push_back(id);
        continue;
      }
      const std::string& image_name = item.images.at(image++);
      batch.images.push_back(golden_image(golden, config, image_name, num_tiles));
      tiles.push_back(golden.pixel_values(image_name));
      num_tiles += tiles.back().size(0);
      const auto& anyres = batch.images.back().layout.anyres;
      const int64_t features = anyres ? anyres->num_tokens() : config.features_per_tile();
      ids.insert(ids.end(), static_cast<size_t>(features), kImageFeature);
    }
    for (size_t i = begin; i < ids.size(); ++i)
      positions.push_back(static_cast<int64_t>(i - begin));
    cu_seqlens.push_back(static_cast<int32_t>(ids.size()));
  }
  batch.input_ids = at::tensor(ids, at::kLong);
  batch.position_ids = at::tensor(positions, at::kLong);
  batch.cu_seqlens = at::tensor(cu_seqlens, at::kInt);
  if (!tiles.empty()) batch.pixel_values = at::cat(tiles);
  return batch;
}

}  // namespace e5v::detail
