#include "e5v/index/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Filters on rows as a collection has them.
class FilterTest : public testing::Test {
 protected:
  FilterTest() {
    database_.execute(
        "CREATE TABLE items (id INTEGER, path TEXT, caption TEXT, text TEXT, kind TEXT, size "
        "INTEGER, "
        "mtime_ns INTEGER, metadata TEXT)");
    database_.execute(
        "INSERT INTO items VALUES"
        "(1, '/a/Dog.jpg', 'a dog', '', 'image', 10, 1704067200000000000, '{\"year\": 2020}'),"
        "(2, '/a/cat.png', 'it''s 100%', '', 'image', 20, 0, '{\"year\": \"2020\", \"x-y\": 1.5}'),"
        "(3, 'note', '', 'a text', 'text', 0, 0, '{\"year\": null, \"a.b\": \"z\"}')");
  }

  std::vector<int64_t> ids(const std::string& filter) {
    const SqlCondition condition = parse_filter(filter, SqlDialect::kSqlite);
    SqliteStatement statement =
        database_.prepare("SELECT id FROM items WHERE " + condition.text + " ORDER BY id");
    statement.bind_all(condition.parameters);
    std::vector<int64_t> ids;
    while (statement.step()) ids.push_back(statement.integer(0));
    return ids;
  }

  static std::string error_of(const std::string& filter) {
    try {
      parse_filter(filter, SqlDialect::kSqlite);
    } catch (const InputError& error) {
      return error.what();
    }
    return "no error";
  }

  TemporaryFolder folder_;
  SqliteDatabase database_{folder_ / "x.db", SqliteDatabase::Access::kCreate};
};

TEST_F(FilterTest, ComparesFieldsWithValues) {
  EXPECT_THAT(ids("kind = 'image'"), ElementsAre(1, 2));
  EXPECT_THAT(ids("KIND <> 'image'"), ElementsAre(3));
  EXPECT_THAT(ids("size >= 10 and size < 2e1"), ElementsAre(1));
  EXPECT_THAT(ids("caption = 'it''s 100%'"), ElementsAre(2));
  EXPECT_THAT(ids("id != +2"), ElementsAre(1, 3));
  EXPECT_THAT(ids("size > -1"), ElementsAre(1, 2, 3));
}

TEST_F(FilterTest, HasLikeInBetweenAndNull) {
  EXPECT_THAT(ids("path LIKE '/a/%'"), ElementsAre(1, 2));
  EXPECT_THAT(ids("path LIKE '%dog%'"), ElementsAre(1));
  EXPECT_THAT(ids("path NOT LIKE '%dog%'"), ElementsAre(2, 3));
  EXPECT_THAT(ids("caption LIKE '%100\\%'"), ElementsAre(2));
  EXPECT_THAT(ids("id IN (1, 3)"), ElementsAre(1, 3));
  EXPECT_THAT(ids("kind NOT IN ('image','composed')"), ElementsAre(3));
  EXPECT_THAT(ids("size BETWEEN 5 AND 15"), ElementsAre(1));
  EXPECT_THAT(ids("size NOT BETWEEN 5 AND 15"), ElementsAre(2, 3));
  EXPECT_THAT(ids("meta.none IS NULL"), ElementsAre(1, 2, 3));
  EXPECT_THAT(ids("meta.year IS NOT NULL"), ElementsAre(1, 2));
}

TEST_F(FilterTest, AndBindsCloserThanOrAndNotCloserThanBoth) {
  EXPECT_THAT(ids("id = 1 OR id = 2 AND size = 99"), ElementsAre(1));
  EXPECT_THAT(ids("(id = 1 OR id = 2) AND size = 20"), ElementsAre(2));
  EXPECT_THAT(ids("NOT id = 1 AND size < 20"), ElementsAre(3));
}

TEST_F(FilterTest, MetadataIsNeverEqualToAValueOfAnotherType) {
  EXPECT_THAT(ids("meta.year = 2020"), ElementsAre(1));
  EXPECT_THAT(ids("meta.year = '2020'"), ElementsAre(2));
  EXPECT_THAT(ids("meta.year > 1"), ElementsAre(1));
  EXPECT_THAT(ids("meta.x-y = 1.5"), ElementsAre(2));
  EXPECT_THAT(ids("meta.a.b = 'z'"), ElementsAre(3));
}

TEST_F(FilterTest, TimesAreDatesOrSeconds) {
  EXPECT_THAT(ids("mtime >= '2024-01-01'"), ElementsAre(1));
  EXPECT_THAT(ids("mtime > '2024-01-01'"), ElementsAre());
  EXPECT_THAT(ids("mtime = 1704067200"), ElementsAre(1));
  EXPECT_THAT(error_of("mtime > '2024-13-01'"), HasSubstr("2024-12-31"));
}

TEST_F(FilterTest, TextOfAUserNeverReachesTheSql) {
  for (const std::string attack :
       {"path = ''' OR 1=1 --'", "caption LIKE '%'' UNION SELECT sql FROM sqlite_master --'"}) {
    const SqlCondition condition = parse_filter(attack, SqlDialect::kSqlite);
    EXPECT_THAT(condition.text, testing::Not(HasSubstr("1=1")));
    EXPECT_THAT(condition.text, testing::Not(HasSubstr("UNION")));
    EXPECT_THAT(ids(attack), ElementsAre());
  }
}

TEST_F(FilterTest, SaysWhereAFilterIsWrong) {
  EXPECT_EQ(error_of("path = 'a' x"), "filter, column 12: expected AND, OR or the end, got 'x'");
  EXPECT_THAT(error_of(""), HasSubstr("expected a field, got the end"));
  EXPECT_THAT(error_of("slot = 1"), HasSubstr("there is no field 'slot'"));
  EXPECT_THAT(error_of("1 = 1"), HasSubstr("expected a field"));
  EXPECT_THAT(error_of("path = path"), HasSubstr("expected a number or a string"));
  EXPECT_THAT(error_of("path = 5"), HasSubstr("'path' is a text"));
  EXPECT_THAT(error_of("size = 'x'"), HasSubstr("'size' is a number"));
  EXPECT_THAT(error_of("size LIKE '1%'"), HasSubstr("'size' is a number"));
  EXPECT_THAT(error_of("path = 'a"), HasSubstr("no closing quote"));
  EXPECT_THAT(error_of("path = 'a'; DROP TABLE items"), HasSubstr("';' is not expected"));
  EXPECT_THAT(error_of("path = 'a' -- x"), HasSubstr("'-' is not expected"));
  EXPECT_THAT(error_of("size = 1e999"), HasSubstr("not a number"));
  EXPECT_THAT(error_of("size = 0x10"), HasSubstr("not a number"));
  EXPECT_THAT(error_of("meta. = 1"), HasSubstr("no field"));
  EXPECT_THAT(error_of("(id = 1"), HasSubstr("expected ')', got the end"));
  EXPECT_THAT(error_of("path NOT = 'a'"), HasSubstr("after NOT"));
  EXPECT_THAT(error_of(std::string("path = 'a\0b'", 12)), HasSubstr("NUL"));
  EXPECT_THAT(error_of("path LIKE random()"), HasSubstr("LIKE needs a string"));
}

TEST_F(FilterTest, BoundsDepthLengthAndValues) {
  EXPECT_THAT(error_of(std::string(500, '(') + "id = 1"), HasSubstr("nested"));
  std::string nots = "id = 1";
  for (int i = 0; i < 500; ++i) nots = "NOT " + nots;
  EXPECT_THAT(error_of(nots), HasSubstr("nested"));
  EXPECT_THAT(error_of(std::string(20'000, ' ')), HasSubstr("bytes"));
  std::string many = "id IN (1";
  for (int i = 0; i < 2000; ++i) many += ",2";
  EXPECT_THAT(error_of(many + ")"), HasSubstr("more than 900 values"));
  // What is allowed, SQLite takes.
  std::string chain = "id = 1";
  for (int i = 0; i < 890; ++i) chain += " OR id=2";
  EXPECT_THAT(ids(chain), ElementsAre(1, 2));
  std::string nested = "id = 1";
  for (int i = 0; i < 24; ++i) nested = "(" + nested + ")";
  EXPECT_THAT(ids(nested), ElementsAre(1));
  EXPECT_THAT(ids("NOT NOT NOT NOT NOT NOT NOT NOT " + nested.substr(8, nested.size() - 16)),
              ElementsAre(1));
}

TEST_F(FilterTest, WritesPostgresWithNumberedParameters) {
  const SqlCondition condition =
      parse_filter("path LIKE 'a%' AND meta.year > 5", SqlDialect::kPostgres);
  EXPECT_THAT(condition.text, HasSubstr("path ILIKE $1"));
  EXPECT_THAT(condition.text, HasSubstr("metadata -> $2::text"));
  EXPECT_THAT(condition.text, HasSubstr("> $4"));
  EXPECT_EQ(condition.parameters.size(), 4u);
}

}  // namespace
}  // namespace e5v::detail
