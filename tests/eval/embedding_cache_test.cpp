#include "e5v/eval/embedding_cache.h"

#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

ContentHash key(const std::string& text) { return ContentHasher().add(text).hash(); }
const ContentHash kModel = key("model");

std::vector<float> found(const EmbeddingCache& cache, const std::string& text) {
  const auto vector = cache.find(key(text));
  return vector ? std::vector<float>(vector->begin(), vector->end()) : std::vector<float>();
}

TEST(EmbeddingCacheTest, FindsInTheNextRunWhatWasAddedInOneBefore) {
  const TemporaryFolder folder;
  {
    EmbeddingCache cache(folder.path(), kModel, 3);
    cache.add(key("a"), std::vector<float>{1, 2, 3});
    cache.add(key("b"), std::vector<float>{4, 5, 6});
  }
  const EmbeddingCache cache(folder.path(), kModel, 3);
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_EQ(found(cache, "a"), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(found(cache, "b"), (std::vector<float>{4, 5, 6}));
  EXPECT_FALSE(cache.contains(key("c")));
  EXPECT_EQ(EmbeddingCache(folder.path(), key("another model"), 3).size(), 0u);
}

TEST(EmbeddingCacheTest, ARecordThatWasCutOffIsWrittenAnew) {
  const TemporaryFolder folder;
  std::filesystem::path path;
  {
    EmbeddingCache cache(folder.path(), kModel, 2);
    path = cache.path();
    cache.add(key("a"), std::vector<float>{1, 2});
    cache.add(key("b"), std::vector<float>{3, 4});
  }
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 5);
  {
    EmbeddingCache cache(folder.path(), kModel, 2);
    EXPECT_EQ(cache.size(), 1u);
    cache.add(key("c"), std::vector<float>{5, 6});
  }
  const EmbeddingCache cache(folder.path(), kModel, 2);
  EXPECT_EQ(found(cache, "a"), (std::vector<float>{1, 2}));
  EXPECT_EQ(found(cache, "c"), (std::vector<float>{5, 6}));
}

TEST(EmbeddingCacheTest, ADamagedVectorIsNotUsed) {
  const TemporaryFolder folder;
  std::filesystem::path path;
  {
    EmbeddingCache cache(folder.path(), kModel, 2);
    path = cache.path();
    cache.add(key("a"), std::vector<float>{1, 2});
  }
  std::string bytes = read_file(path);
  bytes[bytes.size() - 12] ^= 1;
  write_file(path, bytes);
  EXPECT_EQ(EmbeddingCache(folder.path(), kModel, 2).size(), 0u);
}

TEST(EmbeddingCacheTest, RefusesOtherFilesAndASecondProcess) {
  const TemporaryFolder folder;
  const EmbeddingCache cache(folder.path(), kModel, 2);
  EXPECT_THROW(EmbeddingCache(folder.path(), kModel, 2), FileError);
  write_file(folder / "file", "");
  EXPECT_THROW(EmbeddingCache(folder / "file", kModel, 2), FileError);
  const TemporaryFolder other;
  std::filesystem::copy_file(cache.path(), other.path() / cache.path().filename());
  EXPECT_THROW(EmbeddingCache(other.path(), kModel, 4), FormatError);
  write_file(other.path() / cache.path().filename(), std::string(100, 'x'));
  EXPECT_THROW(EmbeddingCache(other.path(), kModel, 2), FormatError);
}

}  // namespace
}  // namespace e5v::detail
