#include "e5v/index/collection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <set>
#include <thread>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/random.h"
#include "e5v/index/sqlite.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kSize = 8;

/// A unit vector that depends on `seed` alone.
std::vector<float> unit_vector(uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<float> vector(kSize);
  double squares = 0;
  for (float& value : vector) {
    value = static_cast<float>(random.below(2001)) / 1000 - 1;
    squares += value * value;
  }
  for (float& value : vector) value /= static_cast<float>(std::sqrt(squares));
  return vector;
}

NewItem new_item(const std::string& path, uint64_t seed) {
  return {.item = {.kind = "image",
                   .path = path,
                   .caption = "caption of " + path,
                   .metadata = {{"number", seed}},
                   .size = 10,
                   .mtime_ns = 20,
                   .hash = "hash " + std::to_string(seed)},
          .vector = unit_vector(seed),
          .content = {}};
}

class CollectionTest : public testing::Test {
 protected:
  CollectionTest() { Collection::create(path_, settings()); }

  static CollectionSettings settings() {
    return {.dimensions = kSize, .fingerprint = {{"weights", "abc"}}, .embedder = {{"model", "m"}}};
  }
  static std::vector<std::string> paths(const std::vector<SearchHit>& hits) {
    std::vector<std::string> paths;
    for (const SearchHit& hit : hits) paths.push_back(hit.item.path);
    return paths;
  }

  const TemporaryFolder folder_;
  const fs::path path_ = folder_ / "c";
};

TEST_F(CollectionTest, FindsWhatWasAddedWithAllItsFields) {
  Collection collection(path_);
  collection.apply({.added = {new_item("/a", 1), new_item("/b", 2)}});
  const auto hits = collection.search({.vector = unit_vector(2), .k = 1});
  ASSERT_EQ(hits.size(), 1u);
  EXPECT_NEAR(hits[0].score, 1, 1e-6);
  CollectionItem expected = new_item("/b", 2).item;
  expected.id = 2;
  EXPECT_EQ(hits[0].item, expected);
  EXPECT_EQ(collection.find_item(2), expected);
  EXPECT_EQ(collection.find_item(3), std::nullopt);
  EXPECT_EQ(collection.find_vector(2), unit_vector(2));
  EXPECT_EQ(collection.find_vector("hash 1"), unit_vector(1));
  EXPECT_THAT(collection.find_vector(9), IsEmpty());
}

TEST_F(CollectionTest, IsThereAgainWhenOpenedAgain) {
  Collection(path_).apply({.added = {new_item("/a", 1)}});
  Collection collection(path_);
  EXPECT_EQ(collection.info().num_items, 1);
  EXPECT_EQ(collection.settings().embedder, Json({{"model", "m"}}));
  EXPECT_THAT(collection.verify(), IsEmpty());
}

TEST_F(CollectionTest, AnItemOfTheSamePathIsReplacedAndKeepsItsId) {
  Collection collection(path_);
  collection.apply({.added = {new_item("/a", 1), new_item("/b", 2)}});
  collection.apply({.added = {new_item("/a", 3)}});
  EXPECT_EQ(collection.info().num_items, 2);
  EXPECT_EQ(collection.info().num_unused, 1);
  const auto hits = collection.search({.vector = unit_vector(3), .k = 5});
  ASSERT_EQ(hits.size(), 2u);
  EXPECT_EQ(hits[0].item.id, 1);
  EXPECT_EQ(hits[0].item.hash, "hash 3");
}

TEST_F(CollectionTest, EqualScoresRankById) {
  Collection collection(path_);
  CollectionChanges changes;
  for (const char* name : {"/c", "/a", "/b"}) changes.added.push_back(new_item(name, 1));
  collection.apply(changes);
  EXPECT_THAT(paths(collection.search({.vector = unit_vector(1), .k = 3})),
              ElementsAre("/c", "/a", "/b"));
}

TEST_F(CollectionTest, FiltersBeforeItRanks) {
  Collection collection(path_);
  CollectionChanges changes;
  for (uint64_t i = 1; i <= 100; ++i) {
    changes.added.push_back(new_item("/" + std::to_string(i), i));
  }
  collection.apply(changes);
  const auto query = unit_vector(50);
  EXPECT_THAT(paths(collection.search({.vector = query, .k = 1, .where = "meta.number = 7"})),
              ElementsAre("/7"));
  EXPECT_EQ(collection.search({.vector = query, .k = 100, .where = "meta.number > 10"}).size(),
            90u);
  EXPECT_THROW(collection.search({.vector = query, .where = "slot = 1"}), InputError);
}

TEST_F(CollectionTest, RemovedItemsAndTooLowScoresAreNotFound) {
  Collection collection(path_);
  collection.apply({.added = {new_item("/a", 1), new_item("/b", 2)}});
  collection.apply({.removed = {1, 77}});
  EXPECT_THAT(paths(collection.search({.vector = unit_vector(1), .k = 5})), ElementsAre("/b"));
  EXPECT_THAT(collection.search({.vector = unit_vector(1), .k = 5, .min_score = 0.999}), IsEmpty());
  // Its id is not given again.
  collection.apply({.removed = {2}});
  collection.apply({.added = {new_item("/c", 3)}});
  EXPECT_EQ(collection.search({.vector = unit_vector(3)})[0].item.id, 3);
}

TEST_F(CollectionTest, RefusesVectorsThatAreNotOfItsLengthOrOfUnitLength) {
  Collection collection(path_);
  NewItem bad = new_item("/a", 1);
  bad.vector.pop_back();
  EXPECT_THROW(collection.apply({.added = {bad}}), InputError);
  bad.vector.assign(kSize, 0);
  EXPECT_THROW(collection.apply({.added = {bad}}), InputError);
  bad.vector.assign(kSize, std::nanf(""));
  EXPECT_THROW(collection.apply({.added = {new_item("/ok", 2), bad}}), InputError);
  EXPECT_EQ(collection.info().num_items, 0);
  EXPECT_THROW(collection.search({.vector = {1, 0}}), InputError);
  EXPECT_THROW(collection.search({.vector = unit_vector(1), .k = 0}), InputError);
}

TEST_F(CollectionTest, SkippedFilesAreListedUntilTheyAreAddedOrForgotten) {
  Collection collection(path_);
  collection.apply(
      {.skipped = {{"/x", 1, 2, "broken"}, {"/y", 1, 2, "broken"}, {"/z", 1, 2, "b"}}});
  collection.apply({.added = {new_item("/x", 1)}, .forgotten = {"/y"}});
  const auto files = collection.skipped_files();
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].path, "/z");
}

TEST_F(CollectionTest, ContentIsKeptAsLongAsAnItemHasIt) {
  Collection collection(path_);
  NewItem item = new_item("/a", 1);
  item.content = std::string("\0\xff bytes", 8);
  collection.apply({.added = {item}});
  EXPECT_EQ(collection.find_content("hash 1"), item.content);
  collection.apply({.removed = {1}});
  collection.compact();
  EXPECT_EQ(collection.find_content("hash 1"), std::nullopt);
}

TEST_F(CollectionTest, CompactingGivesBackSpaceAndChangesNoResult) {
  Collection collection(path_);
  CollectionChanges changes;
  for (uint64_t i = 1; i <= 200; ++i) {
    changes.added.push_back(new_item("/" + std::to_string(i), i));
  }
  collection.apply(changes);
  CollectionChanges removal;
  for (int64_t id = 1; id <= 150; ++id) removal.removed.push_back(id);
  collection.apply(removal);
  const auto before = paths(collection.search({.vector = unit_vector(5), .k = 50}));
  Collection other(path_);  // as another process would have it open
  EXPECT_EQ(paths(other.search({.vector = unit_vector(5), .k = 50})), before);
  collection.compact();
  EXPECT_EQ(collection.info().num_unused, 0);
  EXPECT_EQ(paths(collection.search({.vector = unit_vector(5), .k = 50})), before);
  EXPECT_EQ(paths(other.search({.vector = unit_vector(5), .k = 50})), before);
  EXPECT_FALSE(fs::exists(path_ / "vectors-1.f32"));
  EXPECT_THAT(collection.verify(), IsEmpty());
}

TEST_F(CollectionTest, SeesWhatAnotherProcessAdds) {
  Collection reader(path_), writer(path_);
  EXPECT_THAT(reader.search({.vector = unit_vector(1)}), IsEmpty());
  writer.apply({.added = {new_item("/a", 1)}});
  EXPECT_EQ(reader.search({.vector = unit_vector(1)}).size(), 1u);
}

TEST_F(CollectionTest, AnApproximateIndexFindsOldAndNewItems) {
  for (const IndexKind kind : {IndexKind::kHnswSq8, IndexKind::kIvfPq}) {
    Collection collection(path_);
    collection.choose_index({.kind = kind});
    CollectionChanges changes;
    for (uint64_t i = 1; i <= 500; ++i) {
      changes.added.push_back(new_item("/" + std::to_string(i), i));
    }
    collection.apply(changes);
    collection.update_index();
    EXPECT_GT(collection.info().num_indexed, 0);
    EXPECT_EQ(paths(collection.search({.vector = unit_vector(77), .k = 1}))[0], "/77");
    collection.apply({.added = {new_item("/new", 1000)}, .removed = {}});
    EXPECT_EQ(paths(collection.search({.vector = unit_vector(1000), .k = 1}))[0], "/new");
    EXPECT_EQ(collection.search({.vector = unit_vector(1), .k = 501}).size(), 501u);
    collection.update_index();
    EXPECT_EQ(paths(collection.search({.vector = unit_vector(1000), .k = 1}))[0], "/new");
    EXPECT_THAT(collection.verify(), IsEmpty());
  }
}

TEST_F(CollectionTest, ParametersOfTheIndexAreKept) {
  IndexOptions options{.kind = IndexKind::kHnswSq8, .M = 8, .efSearch = 40};
  Collection collection(path_), other(path_);
  collection.apply({.added = {new_item("/a", 1), new_item("/b", 2)}});
  collection.choose_index(options);
  collection.update_index();
  EXPECT_EQ(other.info().settings.index, options);
  EXPECT_TRUE(fs::exists(path_ / "index-1-2-hnsw8-200.faiss"));
  const auto made = fs::last_write_time(path_ / "index-1-2-hnsw8-200.faiss");

  options.efSearch = 50;
  collection.choose_index(options);
  collection.update_index();
  EXPECT_EQ(fs::last_write_time(path_ / "index-1-2-hnsw8-200.faiss"), made);

  options.M = 9;
  collection.choose_index(options);
  collection.update_index();
  EXPECT_FALSE(fs::exists(path_ / "index-1-2-hnsw8-200.faiss"));
  EXPECT_TRUE(fs::exists(path_ / "index-1-2-hnsw9-200.faiss"));
  EXPECT_EQ(paths(other.search({.vector = unit_vector(2), .k = 1}))[0], "/b");
  EXPECT_THAT(other.verify(), IsEmpty());

  options.M = 1;
  EXPECT_THROW(collection.choose_index(options), ConfigError);
}

TEST_F(CollectionTest, AnIndexOfAnEarlierVersionIsUsed) {
  {
    Collection collection(path_);
    collection.apply({.added = {new_item("/a", 1), new_item("/b", 2)}});
    collection.choose_index({.kind = IndexKind::kHnswSq8});
    collection.update_index();
  }
  fs::rename(path_ / "index-1-2-hnsw32-200.faiss", path_ / "index-1-2.faiss");
  {
    const SqliteDatabase database(path_ / "collection.db", SqliteDatabase::Access::kOpen);
    database.execute("DELETE FROM meta WHERE key = 'index_parameters'");
    database.execute("UPDATE meta SET value = 'hnsw' WHERE key = 'index'");
    database.execute(
        "UPDATE meta SET value = json_remove(json_set(value, '$.kind', 'hnsw', '$.file', "
        "'index-1-2.faiss'), '$.M', '$.efConstruction', '$.efSearch', '$.nprobe') "
        "WHERE key = 'ann'");
  }
  Collection collection(path_);
  EXPECT_EQ(collection.info().settings.index, IndexOptions{.kind = IndexKind::kHnswSq8});
  EXPECT_EQ(collection.info().num_indexed, 2);
  collection.update_index();
  EXPECT_TRUE(fs::exists(path_ / "index-1-2.faiss"));
  EXPECT_EQ(paths(collection.search({.vector = unit_vector(2), .k = 1}))[0], "/b");
  EXPECT_THAT(collection.verify(), IsEmpty());
}

TEST_F(CollectionTest, DamagedParametersAreReported) {
  {
    const SqliteDatabase database(path_ / "collection.db", SqliteDatabase::Access::kOpen);
    database.execute("UPDATE meta SET value = '{\"M\": 1}' WHERE key = 'index_parameters'");
  }
  EXPECT_THAT(message_of<FormatError>([&] { Collection(path_).info(); }),
              HasSubstr("collection.db: 'M' is 1, expected 2 to 512"));
}

TEST_F(CollectionTest, ADamagedIndexIsReportedAndSearchedAround) {
  {
    Collection collection(path_);
    collection.choose_index({.kind = IndexKind::kHnswSq8});
    collection.apply({.added = {new_item("/a", 1), new_item("/b", 2)}});
    collection.update_index();
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
    if (entry.path().extension() == ".faiss") write_file(entry.path(), "not an index");
  }
  Collection collection(path_);
  EXPECT_EQ(paths(collection.search({.vector = unit_vector(2), .k = 1}))[0], "/b");
  EXPECT_THAT(collection.verify(), ElementsAre(HasSubstr("is damaged")));
}

TEST_F(CollectionTest, VerifyFindsVectorsThatWereChangedOrCut) {
  {
    Collection collection(path_);
    collection.apply({.added = {new_item("/a", 1), new_item("/b", 2)}});
  }
  const fs::path vectors = path_ / "vectors-1.f32";
  const std::string intact = read_file(vectors);
  std::string bytes = intact;
  bytes[70] = '\x7f';
  bytes[71] = '\x7f';
  write_file(vectors, bytes);
  EXPECT_THAT(Collection(path_).verify(), ElementsAre(HasSubstr("item 1: its vector has length")));
  write_file(vectors, intact.substr(0, intact.size() - 4));
  EXPECT_THAT(Collection(path_).verify(), ElementsAre(HasSubstr("was the file cut?")));
  write_file(vectors, "something else");
  EXPECT_THROW(Collection(path_).search({.vector = unit_vector(1)}), FormatError);
}

TEST_F(CollectionTest, AForeignOrDamagedDatabaseIsRefused) {
  EXPECT_THROW(Collection(folder_ / "none"), FileError);
  fs::create_directories(folder_ / "d");
  write_file(folder_ / "d" / "collection.db",
             "this is no database, but it is long enough to be one");
  EXPECT_THROW(Collection(folder_ / "d"), FormatError);
  write_file(folder_ / "d" / "collection.db", "");
  EXPECT_THROW(Collection(folder_ / "d"), FormatError);
}

TEST_F(CollectionTest, IsNotMadeWhereSomethingElseIs) {
  EXPECT_THROW(Collection::create(path_, settings()), ConfigError);
  fs::create_directories(folder_ / "photos");
  write_file(folder_ / "photos" / "a.jpg", "x");
  EXPECT_THROW(Collection::create(folder_ / "photos", settings()), ConfigError);
}

TEST_F(CollectionTest, OneProcessUpdatesAtATime) {
  const CollectionLock lock(path_);
  EXPECT_THROW(CollectionLock{path_}, ConfigError);
}

TEST_F(CollectionTest, SearchesWhileOthersAdd) {
  Collection collection(path_);
  collection.apply({.added = {new_item("/first", 1)}});
  collection.prepare_for_many_searches();
  std::atomic<bool> stop = false;
  std::vector<std::thread> searchers;
  for (int i = 0; i < 2; ++i) {
    searchers.emplace_back([&] {
      while (!stop) {
        const auto hits = collection.search({.vector = unit_vector(1), .k = 3});
        ASSERT_EQ(hits[0].item.path, "/first");
      }
    });
  }
  for (uint64_t i = 2; i < 60; ++i) {
    collection.apply({.added = {new_item("/" + std::to_string(i), i)}});
  }
  stop = true;
  for (std::thread& searcher : searchers) searcher.join();
  EXPECT_EQ(collection.search({.vector = unit_vector(1), .k = 100}).size(), 59u);
}

/// Adds items one step at a time until killed; each step's number is in a file before and after.
[[noreturn]] void add_for_ever(const fs::path& path, const fs::path& log) {
  std::ofstream done(log, std::ios::app);
  Collection collection(path);
  for (uint64_t step = static_cast<uint64_t>(collection.info().num_items) / 3;; ++step) {
    CollectionChanges changes;
    for (uint64_t i = 0; i < 3; ++i) {
      changes.added.push_back(new_item("/" + std::to_string(3 * step + i), 3 * step + i + 1));
    }
    collection.apply(changes);
    done << step << std::endl;
    if (step % 16 == 15) collection.compact();
  }
}

TEST_F(CollectionTest, IsIntactWheneverAWriterIsKilled) {
  SplitMix64 random(1);
  const fs::path log = folder_ / "log";
  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) add_for_ever(path_, log);
    ::usleep(static_cast<useconds_t>(20'000 + random.below(40'000)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);

    Collection collection(path_);
    ASSERT_THAT(collection.verify(), IsEmpty()) << "round " << round;
    // Each step is there as a whole, and every step that was reported done.
    std::ifstream lines(log);
    std::set<uint64_t> steps;
    for (uint64_t step = 0; lines >> step;) ASSERT_TRUE(steps.insert(step).second);
    const int64_t num_items = collection.info().num_items;
    EXPECT_EQ(num_items % 3, 0);
    EXPECT_GE(num_items, static_cast<int64_t>(3 * steps.size()));
    EXPECT_LE(num_items, static_cast<int64_t>(3 * steps.size() + 3 * (round + 1)));
    int64_t expected_id = 1;
    collection.for_each_item([&](const CollectionItem& item) {
      EXPECT_EQ(item.id, expected_id);
      EXPECT_EQ(item.path, "/" + std::to_string(expected_id - 1));
      ++expected_id;
    });
    for (int64_t id = 1; id <= num_items; id += 7) {
      ASSERT_EQ(collection.find_vector(id), unit_vector(static_cast<uint64_t>(id)));
    }
  }
}

}  // namespace
}  // namespace e5v::detail
