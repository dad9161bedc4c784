#include "e5v/convert/join_vision_tower.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/convert/random_model.h"
#include "e5v/families/load_model.h"
#include "e5v/families/registry.h"
#include "e5v/nn/tensor_file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class JoinVisionTowerTest : public ::testing::Test {
 protected:
  JoinVisionTowerTest() {
    write_file(folder_ / "words.txt", "a red disc\n");
    make("shapes-mini", model_, 1);
    make("shapes-mini-clip", clip_, 2);
  }
  void make(const std::string& preset, const fs::path& path, int64_t seed) {
    write_random_model(
        path,
        {.preset = preset, .seed = seed, .texts = folder_ / "words.txt", .dtype = DType::F32});
  }
  std::string error_of(const fs::path& model, const fs::path& clip) {
    try {
      join_vision_tower(model, clip, folder_ / "joined");
    } catch (const ConfigError& error) {
      EXPECT_FALSE(fs::exists(folder_ / "joined"));
      return error.what();
    }
    return "no ConfigError";
  }

  TemporaryFolder folder_;
  fs::path model_ = folder_ / "model", clip_ = folder_ / "clip";
};

TEST_F(JoinVisionTowerTest, TheTowerIsClipsAndAllElseTheModels) {
  join_vision_tower(model_, clip_, folder_ / "joined");
  const auto model = read_tensor_file(model_ / "model.safetensors");
  const auto clip = read_tensor_file(clip_ / "model.safetensors");
  const auto joined = read_tensor_file(folder_ / "joined/model.safetensors");
  ASSERT_EQ(joined.size(), model.size());
  int taken = 0;
  for (const auto& [name, value] : joined) {
    const bool is_tower = name.starts_with("vision_tower.");
    EXPECT_TRUE(at::equal(value, is_tower ? clip.at(name.substr(13)) : model.at(name))) << name;
    taken += is_tower;
  }
  EXPECT_EQ(taken, 4 * 16 + 7);  // layers; class, patches, positions, two norms of two
  EXPECT_NO_THROW(load_model(folder_ / "joined"));
}

TEST_F(JoinVisionTowerTest, ALlavaGivesItsTowerAndProjector) {
  make("shapes-mini", folder_ / "other", 3);
  join_vision_tower(model_, folder_ / "other", folder_ / "joined");
  const auto model = read_tensor_file(model_ / "model.safetensors");
  const auto other = read_tensor_file(folder_ / "other/model.safetensors");
  for (const auto& [name, value] : read_tensor_file(folder_ / "joined/model.safetensors")) {
    const bool is_language = name.starts_with("language_model.");
    EXPECT_TRUE(at::equal(value, is_language ? model.at(name) : other.at(name))) << name;
  }
}

TEST_F(JoinVisionTowerTest, RefusesWhatHasNoTowerOfThatShape) {
  fs::create_directories(folder_ / "empty");
  write_tensor_file(folder_ / "empty/model.safetensors", {{"weight", at::ones({2})}});
  EXPECT_THAT(error_of(model_, folder_ / "empty"), HasSubstr("there is no tensor 'vision_model."));
  write_random_model(folder_ / "tiny", {.preset = "tiny", .dtype = DType::F32});
  EXPECT_THAT(error_of(folder_ / "tiny", clip_), HasSubstr("but the model's is ["));
}

}  // namespace
}  // namespace e5v::detail
