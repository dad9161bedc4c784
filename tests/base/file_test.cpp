#include "e5v/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "e5v/base/error.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

size_t num_entries(const std::filesystem::path& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                           std::filesystem::directory_iterator()));
}

TEST(MappedFileTest, ShowsTheFilesBytesAlsoAfterAMoveAndARelease) {
  const TemporaryFolder dir;
  const std::string content(100'000, 'x');
  write_file(dir / "a", content);
  MappedFile mapped(dir / "a");
  mapped.release(10, 90'000);
  MappedFile moved(std::move(mapped));
  EXPECT_EQ(text_of(moved.bytes()), content);
  moved.release(0, SIZE_MAX);
  EXPECT_EQ(text_of(moved.bytes()), content);
}

TEST(MappedFileTest, AnEmptyFileIsAnEmptySpan) {
  const TemporaryFolder dir;
  write_file(dir / "empty", "");
  EXPECT_TRUE(MappedFile(dir / "empty").bytes().empty());
}

TEST(MappedFileTest, RefusesWhatIsNoRegularFile) {
  const TemporaryFolder dir;
  EXPECT_THAT([&] { MappedFile(dir / "none"); },
              ThrowsMessage<FileError>(HasSubstr("No such file")));
  EXPECT_THAT([&] { MappedFile file(dir.path()); },
              ThrowsMessage<FileError>(HasSubstr("not a regular file")));
  EXPECT_THAT([&] { MappedFile("/dev/null"); },
              ThrowsMessage<FileError>(HasSubstr("not a regular file")));
}

TEST(ReadFileTest, RefusesMoreThanTheLimitBeforeAllocatingIt) {
  const TemporaryFolder dir;
  write_file(dir / "a", "12345");
  EXPECT_EQ(read_file(dir / "a", 5), "12345");
  EXPECT_THAT([&] { read_file(dir / "a", 4); }, ThrowsMessage<FileError>(HasSubstr("limit of 4")));
  // A sparse file that claims four exabytes.
  write_file(dir / "sparse", "");
  ASSERT_EQ(::truncate((dir / "sparse").c_str(), int64_t{1} << 42), 0);
  EXPECT_THROW(read_file(dir / "sparse", 1 << 20), FileError);
  EXPECT_THROW(read_file("/dev/zero", 1 << 20), FileError);
}

TEST(ReadFileTest, SaysWhyAFolderOrAMissingFileCannotBeRead) {
  const TemporaryFolder dir;
  EXPECT_THAT([&] { read_file(dir.path()); },
              ThrowsMessage<FileError>(HasSubstr("Is a directory")));
  EXPECT_THAT([&] { read_file(dir / "none"); },
              ThrowsMessage<FileError>(HasSubstr("none: cannot open: No such file")));
}

TEST(AtomicFileTest, AppearsOnlyOnCommitAndLeavesNothingBehind) {
  const TemporaryFolder dir;
  write_file(dir / "a", "old");
  {
    AtomicFile file(dir / "a");
    file.write("new");
    EXPECT_EQ(read_file(dir / "a"), "old");
  }
  EXPECT_EQ(read_file(dir / "a"), "old");
  EXPECT_EQ(num_entries(dir.path()), 1U);
  AtomicFile file(dir / "a");
  file.write("new");
  file.commit();
  EXPECT_EQ(read_file(dir / "a"), "new");
  EXPECT_EQ(num_entries(dir.path()), 1U);
}

TEST(AtomicFileTest, KeepsTheOrderOfSmallAndLargeWritesAndOverwritesInPlace) {
  const TemporaryFolder dir;
  const std::string large(3 << 20, 'L');
  AtomicFile file(dir / "a");
  file.write("0000");
  file.write(large);
  file.write("tail");
  file.write_at(2, "12");
  file.write("end");
  EXPECT_EQ(file.size(), 4 + large.size() + 7);
  file.commit();
  EXPECT_EQ(read_file(dir / "a"), "0012" + large + "tailend");
}

TEST(AtomicFileTest, TwoWritersOfOneNameDoNotMix) {
  const TemporaryFolder dir;
  AtomicFile first(dir / "a");
  AtomicFile second(dir / "a");
  first.write("first");
  second.write("second");
  first.commit();
  EXPECT_EQ(read_file(dir / "a"), "first");
  second.commit();
  EXPECT_EQ(read_file(dir / "a"), "second");
}

TEST(AtomicFileTest, FollowsALinkInsteadOfReplacingIt) {
  const TemporaryFolder dir;
  write_file(dir / "target", "old");
  std::filesystem::create_symlink("target", dir / "link");
  write_file(dir / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link"));
  EXPECT_EQ(read_file(dir / "target"), "new");
}

/// A device like /dev/<name> that a mistake in the code under test may replace: for root, who could
/// replace the real one, another node in `folder`.
std::filesystem::path device(const TemporaryFolder& folder, const std::string& name,
                             unsigned minor) {
  if (::geteuid() != 0) return "/dev/" + name;
  const std::filesystem::path path = folder / name;
  if (::mknod(path.c_str(), S_IFCHR | 0666, ::makedev(1, minor)) != 0) return {};
  const int opened = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);  // fails where mounted with nodev
  if (opened < 0) return {};
  ::close(opened);
  return path;
}

TEST(AtomicFileTest, WritesToADeviceWithoutReplacingIt) {
  const TemporaryFolder dir;
  const std::filesystem::path null = device(dir, "null", 3);
  if (null.empty()) GTEST_SKIP() << "no devices can be made in " << dir.path();
  write_file(null, "gone");
  std::filesystem::create_symlink(null, dir / "link");
  write_file(dir / "link", "gone");
  EXPECT_TRUE(std::filesystem::is_character_file(null));
}

TEST(AtomicFileTest, SaysThatTheDiskIsFull) {
  const TemporaryFolder dir;
  const std::filesystem::path full = device(dir, "full", 7);
  if (full.empty()) GTEST_SKIP() << "no devices can be made in " << dir.path();
  EXPECT_THAT([&] { write_file(full, "x"); },
              ThrowsMessage<FileError>(HasSubstr("full: cannot write: No space left")));
}

TEST(AtomicFileTest, AFileThatCannotGrowIsRemovedAndTheOldOneKept) {
  const TemporaryFolder dir;
  write_file(dir / "a", "old");
  // In a child process, because the limit on file sizes cannot be lifted again.
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    bool refused = false;
    try {
      AtomicFile file(dir / "a");
      for (int i = 0; i < 5; ++i) file.write(std::string(1 << 20, 'x'));
      file.commit();
    } catch (const FileError& error) {
      refused =
          std::string(error.what()).find("a: cannot write: File too large") != std::string::npos;
    }
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(read_file(dir / "a"), "old");
  EXPECT_EQ(num_entries(dir.path()), 1U);
}

TEST(AtomicFileTest, NamesThePathThatCannotBeMade) {
  const TemporaryFolder dir;
  EXPECT_THAT([&] { AtomicFile(dir / "no/such/folder"); },
              ThrowsMessage<FileError>(HasSubstr("no/such/folder: cannot create: No such file")));
  EXPECT_THAT([&] { AtomicFile file(dir.path()); },
              ThrowsMessage<FileError>(HasSubstr("Is a directory")));
}

}  // namespace
}  // namespace e5v::detail
