#include "e5v/base/digest.h"

#include <gtest/gtest.h>

#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

TEST(DigestTest, Sha256OfThePublishedExamples) {
  // FIPS 180-2, appendix B.
  Digest digest(DigestKind::kSha256, 3);
  digest.update("a");
  digest.update("bc");
  EXPECT_EQ(digest.finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Digest(DigestKind::kSha256, 0).finish(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(DigestTest, GitBlobIdsAreThoseOfGitHashObject) {
  // printf 'hello world\n' | git hash-object --stdin; and the well-known id of the empty blob.
  Digest digest(DigestKind::kGitBlob, 12);
  digest.update("hello world\n");
  EXPECT_EQ(digest.finish(), "3b18e512dba79e4c8300dd08aeb37f8e728b8dad");
  EXPECT_EQ(Digest(DigestKind::kGitBlob, 0).finish(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(DigestTest, AFileIsHashedWhole) {
  const TemporaryFolder folder;
  const std::string content(40 << 20, 'x');  // more than one step
  write_file(folder / "a", content);
  Digest digest(DigestKind::kSha256, content.size());
  digest.update(content);
  EXPECT_EQ(file_digest(folder / "a", DigestKind::kSha256), digest.finish());
}

}  // namespace
}  // namespace e5v::detail
