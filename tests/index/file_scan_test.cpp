#include "e5v/index/file_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

class FileScanTest : public testing::Test {
 protected:
  FileScanTest() {
    for (const char* name : {"b.jpg", "a.PNG", "note.txt", ".hidden.jpg", "trips/x.webp",
                             "trips/2020/y.gif", ".cache/z.jpg", "thumbs/t.jpg"}) {
      fs::create_directories((folder_ / name).parent_path());
      write_file(folder_ / name, name);
    }
  }

  std::vector<std::string> scan(const std::vector<fs::path>& roots,
                                const std::vector<std::string>& excludes = {}) {
    const fs::path base = normal_path(folder_.path());
    std::vector<std::string> names;
    for (const ScannedFile& file : scan_pictures(roots, excludes).files) {
      names.push_back(file.path.lexically_relative(base).native());
    }
    return names;
  }

  const TemporaryFolder folder_;
};

TEST_F(FileScanTest, FindsPicturesSortedAndNoHiddenOnes) {
  EXPECT_THAT(scan({folder_.path()}),
              ElementsAre("a.PNG", "b.jpg", "thumbs/t.jpg", "trips/2020/y.gif", "trips/x.webp"));
}

TEST_F(FileScanTest, ExcludesNamesAndPaths) {
  EXPECT_THAT(scan({folder_.path()}, {"thumbs", "*.PNG", "trips/20*"}),
              ElementsAre("b.jpg", "trips/x.webp"));
}

TEST_F(FileScanTest, OverlappingRootsGiveEachFileOnce) {
  EXPECT_THAT(scan({folder_ / "trips", folder_ / "trips/x.webp", folder_ / "trips/2020/"}),
              ElementsAre("trips/2020/y.gif", "trips/x.webp"));
}

TEST_F(FileScanTest, ALinkToAFolderAboveEnds) {
  fs::create_directory_symlink(folder_.path(), folder_ / "trips/loop");
  EXPECT_EQ(scan({folder_.path()}).size(), 5u);
}

TEST_F(FileScanTest, ARootThatIsNotThereIsAnError) {
  EXPECT_THROW(scan({folder_ / "none"}), FileError);
}

TEST_F(FileScanTest, SizeAndTimeAreTheFiles) {
  const auto file = stat_file(folder_ / "b.jpg");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->size, 5);
  EXPECT_GT(file->mtime_ns, 1'600'000'000'000'000'000);
  EXPECT_FALSE(stat_file(folder_ / "none"));
  EXPECT_FALSE(stat_file(folder_.path()));
}

TEST(IsBelowTest, KnowsFoldersFromPrefixes) {
  EXPECT_TRUE(is_below("/a/b", "/a"));
  EXPECT_TRUE(is_below("/a", "/a"));
  EXPECT_TRUE(is_below("/a", "/"));
  EXPECT_FALSE(is_below("/ab", "/a"));
  EXPECT_FALSE(is_below("/a", "/a/b"));
}

}  // namespace
}  // namespace e5v::detail
