// The built-in model: what it computes equals the reference, and it finds what it should.

#include <gmock/gmock.h>

#include "e5v/base/file.h"
#include "e5v/embed/embedder.h"
#include "tests/support/golden.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

const fs::path kModel = fs::path(E5V_SOURCE_DIR) / "models/shapes-mini";

class MiniatureGoldenTest : public ::testing::Test {
 protected:
  std::vector<Item> items() const {
    std::vector<Item> items;
    for (const Json& entry : golden_.description()["items"]) {
      Item item;
      if (entry.contains("text")) item.text = entry["text"].get<std::string>();
      if (entry.contains("image")) {
        item.images.push_back(golden_.folder() / entry["image"].get<std::string>());
      }
      if (entry.contains("task")) item.task = entry["task"].get<std::string>();
      items.push_back(std::move(item));
    }
    return items;
  }

  const Golden golden_ = load_golden("miniature");
};

TEST_F(MiniatureGoldenTest, EmbeddingsEqualTransformers) {
  const Embedder embedder({.model = kModel, .precision = Precision::kFloat32, .device = "cpu"});
  const std::vector<Item> all = items();
  const auto vectors = embedder.embed(all);
  const Json& entries = golden_.description()["items"];
  ASSERT_EQ(vectors.size(), entries.size());
  for (size_t i = 0; i < vectors.size(); ++i) {
    const auto id = entries[i]["id"].get<std::string>();
    EXPECT_THAT(at::tensor(at::ArrayRef<float>(vectors[i])),
                AllClose(golden_.expected(id), golden_.tolerance("embedding")))
        << id;
  }
}

}  // namespace
}  // namespace e5v::detail
