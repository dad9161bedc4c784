#include "e5v/eval/image_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

class PictureFinderTest : public testing::Test {
 protected:
  std::filesystem::path find(const std::vector<std::string>& names) {
    return PictureFinder({folder_ / "first", folder_ / "second"}).find(names);
  }
  void make(const std::string& name) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    write_file(folder_ / name, "");
  }

  const TemporaryFolder folder_;
};

TEST_F(PictureFinderTest, TakesTheFirstFolderThatHasOneOfTheNames) {
  make("second/a.png");
  make("second/b.jpg");
  EXPECT_EQ(find({"a.png", "a.jpg"}), folder_ / "second/a.png");
  EXPECT_EQ(find({"b.png", "b.jpg"}), folder_ / "second/b.jpg");
  make("first/b.jpg");
  EXPECT_EQ(find({"b.png", "b.jpg"}), folder_ / "first/b.jpg");
  EXPECT_EQ(find({"c.png", "c.jpg"}), folder_ / "first/c.png");  // where it would be
}

TEST_F(PictureFinderTest, ComposedAndDecomposedNamesAreTheSame) {
  make("second/cafe\u0301.png");  // as macOS had it
  make("second/stra\u00dfe/\u00fcber.png");
  EXPECT_EQ(find({"caf\u00e9.png"}), folder_ / "second/cafe\u0301.png");
  EXPECT_EQ(find({"stra\u00dfe/u\u0308ber.png"}), folder_ / "second/stra\u00dfe/\u00fcber.png");
}

TEST_F(PictureFinderTest, ABackslashSeparatesFoldersWhereNothingHasItInItsName) {
  make("second/b/a.png");
  EXPECT_EQ(find({"b\\a.png"}), folder_ / "second/b/a.png");
  make("second/b\\a.png");
  EXPECT_EQ(find({"b\\a.png"}), folder_ / "second/b\\a.png");
}

TEST(CheckImagesTest, SaysSoWhereNoPictureIsThere) {
  const std::vector<EvalImage> images = {{.id = "a", .path = "/nowhere/a.png"},
                                         {.id = "b", .path = "/nowhere/b.png"}};
  for (const OnMissing on_missing : {OnMissing::kStop, OnMissing::kSkip}) {
    std::vector<std::string> skipped;
    EXPECT_THAT(error_of([&] { check_images(images, on_missing, skipped); }),
                HasSubstr("none of the 2 pictures is there: /nowhere/a.png"));
  }
}

}  // namespace
}  // namespace e5v::detail
