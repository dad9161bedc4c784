#include "e5v/base/new_folder.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

void fill(const fs::path& folder) {
  fs::create_directories(folder);
  write_file(folder / "file", "text");
}

TEST(NewFolderTest, AppearsWhenComplete) {
  const TemporaryFolder parent;
  {
    NewFolder folder(parent / "new/", "a model");
    fill(folder.path());
    EXPECT_FALSE(fs::exists(parent / "new"));
    folder.commit();
  }
  EXPECT_EQ(read_file(parent / "new/file"), "text");
}

TEST(NewFolderTest, NothingIsLeftOfAnUnfinishedOne) {
  const TemporaryFolder parent;
  { fill(NewFolder(parent / "new", "a model").path()); }
  EXPECT_TRUE(fs::is_empty(parent / ""));
}

TEST(NewFolderTest, ATakenPlaceIsLeftAlone) {
  const TemporaryFolder parent;
  fill(parent / "old");
  for (const char* taken : {"old", "old/file"}) {
    try {
      const NewFolder folder(parent / taken, "a model");
      ADD_FAILURE() << taken;
    } catch (const FileError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("cannot write a model"));
    }
  }
  EXPECT_EQ(read_file(parent / "old/file"), "text");
}

}  // namespace
}  // namespace e5v::detail
