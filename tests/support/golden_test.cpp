#include "tests/support/golden.h"

#include <gmock/gmock.h>
#include <torch/types.h>

#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

TEST(GoldenFolderTest, GivesItemsImagesAndTensors) {
  const Golden golden = load_golden("model_llama");
  const GoldenItem item = golden.item("composed");
  ASSERT_EQ(item.images, std::vector<std::string>{"rows"});
  EXPECT_EQ(golden.image_size("rows"), (std::pair<int64_t, int64_t>{30, 50}));
  const int64_t packed = golden.expected("image.rows.packed").size(0);
  EXPECT_EQ(item.length, static_cast<int64_t>(item.input_ids.size()) - 1 + packed);
  EXPECT_EQ(golden.expected("item.composed.inputs_embeds").size(0), item.length);
  EXPECT_EQ(golden.pixel_values("rows").scalar_type(), torch::kFloat32);
  EXPECT_THROW(golden.expected("item.composed.nothing"), InputError);
  EXPECT_FALSE(golden.has_expected("item.composed.nothing"));
}

TEST(GoldenFolderTest, FindsAFileThatIsAnotherGoldens) {
  const Golden golden = load_golden("model_rope_linear");
  EXPECT_TRUE(std::filesystem::exists(golden.file("model.safetensors")));
  EXPECT_NE(golden.file("model.safetensors").parent_path(),
            golden.file("golden.json").parent_path());
}

TEST(GoldenFolderTest, WritesAModelInEveryKeyLayout) {
  const Golden golden = load_golden("model_llama");
  const std::map<std::string, torch::Tensor> published = golden.tensors("model.safetensors");
  for (const KeyLayout layout :
       {KeyLayout::kPublished, KeyLayout::k4_52, KeyLayout::k5xMemory, KeyLayout::k5xSaved}) {
    const TemporaryFolder folder;
    write_model_folder(folder.path(), golden, layout, "config_5x.json");
    EXPECT_TRUE(read_json(folder / "config.json").contains("dtype"));
    const std::map<std::string, torch::Tensor> written = read_tensors(folder / "model.safetensors");
    ASSERT_EQ(written.size(), published.size());
    for (const auto& [name, renamed] : renamed_keys(golden, layout)) {
      ASSERT_TRUE(written.count(renamed)) << renamed;
      EXPECT_TRUE(torch::equal(written.at(renamed), published.at(name))) << renamed;
    }
  }
}

}  // namespace
}  // namespace e5v::detail
