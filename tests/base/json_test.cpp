#include "e5v/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/file.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(ParseJsonTest, ErrorsNameSourceLineColumnAndReason) {
  EXPECT_THAT([] { parse_json("{\n  \"a\": tru\n}", "config.json"); },
              ThrowsMessage<FormatError>(AllOf(HasSubstr("config.json: "), HasSubstr("line 2"),
                                               HasSubstr("invalid literal"))));
  EXPECT_THAT([] { parse_json("", "empty.json"); },
              ThrowsMessage<FormatError>(
                  AllOf(HasSubstr("empty.json: not valid JSON at line 1"), HasSubstr("input"))));
  EXPECT_THAT([] { parse_json("{\"a\": 1e999}", "n.json"); },
              ThrowsMessage<FormatError>(HasSubstr("n.json")));
}

TEST(ParseJsonTest, AnErrorMessageIsOneLineWhateverTheTextHolds) {
  try {
    parse_json("\"\n\x1b[2J column 9: ] \"", "x.json");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
    EXPECT_THAT(error.what(), Not(HasSubstr("\x1b")));
  }
}

TEST(ParseJsonTest, RefusesDeepNestingButNotBracketsInStrings) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(200), "x"));
  EXPECT_THAT([&] { parse_json(nested(201), "x"); },
              ThrowsMessage<FormatError>(HasSubstr("200 levels")));
  EXPECT_THROW(parse_json(std::string(5'000'000, '['), "x"), FormatError);
  EXPECT_NO_THROW(parse_json("\"\\\"" + std::string(500, '[') + "\"", "x"));
}

TEST(ParseJsonTest, AgreesWithTheJsonTestSuite) {
  const std::filesystem::path folder =
      std::filesystem::path(E5V_SHARED_DATA) / "badinput/json/test_parsing";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " (JSONTestSuite) is not here";
  int num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    bool parsed = true;
    try {
      read_json(entry.path());
    } catch (const FormatError&) {
      parsed = false;
    }
    if (name.starts_with("y_")) {
      EXPECT_TRUE(parsed) << name;
    } else if (name.starts_with("n_")) {
      EXPECT_FALSE(parsed) << name;
    }
    ++num_files;
  }
  EXPECT_GE(num_files, 300);
}

TEST(JsonFieldTest, AbsentAndNullAreNoValue) {
  const Json object = Json::parse(R"({"a": null, "b": 2})");
  EXPECT_EQ(find_field<int64_t>(object, "a"), std::nullopt);
  EXPECT_EQ(find_field<int64_t>(object, "z"), std::nullopt);
  EXPECT_EQ(field_or<int64_t>(object, "a", 7), 7);
  EXPECT_EQ(field_or<int64_t>(object, "b", 7), 2);
  EXPECT_THAT([&] { require_field<int64_t>(object, "z"); },
              ThrowsMessage<ConfigError>(HasSubstr("'z' is missing")));
}

TEST(JsonFieldTest, IntegersAreNotConvertedSilently) {
  const auto get = [](const char* text) { return json_as<int32_t>(Json::parse(text), "n"); };
  EXPECT_EQ(get("336"), 336);
  EXPECT_EQ(get("-2"), -2);
  EXPECT_EQ(get("5e5"), 500000);
  EXPECT_EQ(get("2147483647"), 2147483647);
  for (const char* text : {"1.5", "true", "\"3\"", "2147483648", "-2147483649",
                           "18446744073709551615", "1e300", "-1e300", "[3]", "{}"}) {
    EXPECT_THROW(get(text), ConfigError) << text;
  }
  EXPECT_EQ(json_as<uint64_t>(Json::parse("18446744073709551615"), "n"), UINT64_MAX);
  EXPECT_THROW(json_as<uint64_t>(Json::parse("-1"), "n"), ConfigError);
  EXPECT_THROW(json_as<int64_t>(Json::parse("9223372036854775808"), "n"), ConfigError);
}

TEST(JsonFieldTest, ErrorsNameFieldAndValue) {
  const Json object = Json::parse(R"({"sizes": [336, 1.5], "flag": 1, "name": ["x"]})");
  EXPECT_THAT([&] { find_field<std::vector<int64_t>>(object, "sizes"); },
              ThrowsMessage<ConfigError>(
                  AllOf(HasSubstr("'sizes[1]' is 1.5"), HasSubstr("expected an integer"))));
  EXPECT_THAT([&] { find_field<bool>(object, "flag"); },
              ThrowsMessage<ConfigError>(HasSubstr("expected true or false")));
  EXPECT_THAT([&] { find_field<std::string>(object, "name"); },
              ThrowsMessage<ConfigError>(HasSubstr("'name' is an array of 1, expected a string")));
  EXPECT_THAT([&] { find_field<double>(Json::array(), "x"); },
              ThrowsMessage<ConfigError>(HasSubstr("expected an object")));
}

}  // namespace
}  // namespace e5v::detail
