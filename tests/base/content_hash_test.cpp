#include "e5v/base/content_hash.h"

#include <gtest/gtest.h>

namespace e5v::detail {
namespace {

TEST(ContentHashTest, PartsCountNotOnlyTheirBytes) {
  EXPECT_NE(ContentHasher().add("ab").add("c").hash(), ContentHasher().add("a").add("bc").hash());
  EXPECT_NE(ContentHasher().add("").hash(), ContentHasher().hash());
  EXPECT_NE(ContentHasher().add(std::string(1, '\0')).hash(),
            ContentHasher().add(std::string(2, '\0')).hash());
}

TEST(ContentHashTest, IsTheBeginOfASha256) {
  // hashlib.sha256(struct.pack('<Q', 1) + b'a'), its first 16 bytes as two words.
  EXPECT_EQ(ContentHasher().add("a").hash().digits(), "f655a58bc82161ae9d79eb2321813d4c");
  EXPECT_EQ(ContentHasher().add(uint64_t{1}).hash(), ContentHasher().add(uint64_t{1}).hash());
  EXPECT_NE(ContentHasher().add(uint64_t{1}).hash(), ContentHasher().add(uint64_t{2}).hash());
}

}  // namespace
}  // namespace e5v::detail
