#include "e5v/index/postgres.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "e5v/base/error.h"
#include "e5v/base/random.h"
#include "e5v/index/export.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

std::vector<float> unit_vector(int64_t size, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> vector(static_cast<size_t>(size));
  double squares = 0;
  for (float& value : vector) {
    value = static_cast<float>(random.below(2001)) / 1000 - 1;
    squares += value * value;
  }
  for (float& value : vector) value /= static_cast<float>(std::sqrt(squares));
  return vector;
}

/// With a real server, which scripts/test-postgres.sh starts; lengths for each form of the index.
class PostgresTest : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override {
    const char* uri = std::getenv("E5V_TEST_POSTGRES");
    if (uri == nullptr) {
      GTEST_SKIP()
          << "no PostgreSQL: E5V_TEST_POSTGRES is not set (scripts/test-postgres.sh sets it)";
    }
    uri_ = uri;
    const int64_t size = GetParam();
    Collection::create(
        folder_ / "c",
        {.dimensions = size, .fingerprint = {{"weights", "abc"}}, .embedder = {{"model", "m"}}});
    collection_ = std::make_unique<Collection>(folder_ / "c");
    CollectionChanges changes;
    for (uint64_t i = 1; i <= 300; ++i) {
      changes.added.push_back(
          {.item = {.kind = "image",
                    .path = "/p\t" + std::to_string(i) + "\\ \n'\"\xff",
                    .caption = i % 2 == 0 ? "even" : "odd",
                    .metadata = {{"number", i}, {"name", std::string("a\0b", 3)}},
                    .size = static_cast<int64_t>(i),
                    .mtime_ns = 5,
                    .hash = "h"},
           .vector = unit_vector(size, i),
           .content = {}});
    }
    // Ties.
    changes.added[9].vector = changes.added[4].vector;
    collection_->apply(changes);
  }
  static std::vector<int64_t> ids(const std::vector<SearchHit>& hits) {
    std::vector<int64_t> ids;
    for (const SearchHit& hit : hits) ids.push_back(hit.item.id);
    return ids;
  }

  std::string uri_;
  const TemporaryFolder folder_;
  std::unique_ptr<Collection> collection_;
};

TEST_P(PostgresTest, AnExportedCollectionFindsWhatTheCollectionFinds) {
  EXPECT_EQ(export_to_postgres(*collection_, uri_), 300);
  EXPECT_EQ(export_to_postgres(*collection_, uri_), 300);  // again, in place of the first
  const auto target = open_search_target(uri_);
  EXPECT_EQ(target->settings().embedder, Json({{"model", "m"}}));
  for (const char* where :
       {"", "caption = 'even'", "meta.number BETWEEN 5 AND 60 AND path LIKE '/p%'",
        "NOT size < 100 OR meta.none = 'x'"}) {
    const SearchQuery query{.vector = unit_vector(GetParam(), 5), .k = 5, .where = where};
    const auto expected = collection_->search(query), got = target->search(query);
    EXPECT_EQ(ids(got), ids(expected)) << where;
    for (size_t i = 0; i < got.size() && i < expected.size(); ++i) {
      EXPECT_NEAR(got[i].score, expected[i].score, 1e-5);
    }
  }
  const auto best = target->search({.vector = unit_vector(GetParam(), 5), .k = 2});
  EXPECT_EQ(ids(best), (std::vector<int64_t>{5, 10}));
  EXPECT_EQ(best[0].item.metadata["number"], 5);
  EXPECT_EQ(best[0].item.path, "/p\t5\\ \n'\"\xef\xbf\xbd");
  EXPECT_THROW(target->search({.vector = unit_vector(GetParam(), 5), .where = "slot = 1"}),
               InputError);
}

INSTANTIATE_TEST_SUITE_P(Sizes, PostgresTest, testing::Values(8, 2048, 4096));

TEST(PostgresUriTest, IsKnownAndShownWithoutItsPassword) {
  EXPECT_TRUE(is_postgres_uri("postgresql://h/db"));
  EXPECT_TRUE(is_postgres_uri("postgres://h/db"));
  EXPECT_FALSE(is_postgres_uri("/a/postgresql"));
  EXPECT_EQ(shown_target("postgresql://me:secret@h:5432/db"), "postgresql://me@h:5432/db");
  EXPECT_EQ(shown_target("postgresql://me@h/db"), "postgresql://me@h/db");
  EXPECT_EQ(shown_target("/a/b@c"), "/a/b@c");
}

TEST(PostgresUriTest, AServerThatIsNotThereIsNamedWithoutThePassword) {
  try {
    open_search_target("postgresql://me:secret@127.0.0.1:1/db?connect_timeout=2");
    FAIL();
  } catch (const FileError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("postgresql://me@127.0.0.1:1/db"));
    EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace e5v::detail
