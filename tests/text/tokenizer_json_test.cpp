// Malformed, inconsistent and unsupported tokenizer.json files.
#include "e5v/text/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/text/tokenizer.h"
#include "tests/text/tiny_tokenizer.h"

namespace e5v::detail {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// The message of the FormatError that `content` is refused with.
std::string format_error(const std::string& content) {
  try {
    Tokenizer::from_json(content, "t.json");
  } catch (const FormatError& error) {
    return error.what();
  }
  return "accepted";
}

/// The same for the tiny tokenizer after a change.
std::string error_after(const std::function<void(Json&)>& change) {
  Json json = tiny_byte_level_json();
  change(json);
  return format_error(json.dump());
}

TEST(TokenizerJsonTest, AcceptsWhatTheCasesBelowStartFrom) {
  EXPECT_EQ(error_after([](Json&) {}), "accepted");
}

TEST(TokenizerJsonTest, EveryTruncationIsRefused) {
  const std::string whole = tiny_byte_level_json().dump();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(format_error(whole.substr(0, size)), HasSubstr("t.json: ")) << size;
  }
}

TEST(TokenizerJsonTest, NamesLineAndColumnOfASyntaxError) {
  EXPECT_THAT(format_error("{\"model\": {\n  \"vocab\": {\"a\" 0}}}"), HasSubstr("line 2"));
}

TEST(TokenizerJsonTest, RefusesDeepNesting) {
  EXPECT_THAT(format_error(std::string(100000, '[')), HasSubstr("nested"));
  EXPECT_THAT(format_error("{\"model\":" + std::string(100000, '[')), HasSubstr("nested"));
}

TEST(TokenizerJsonTest, RefusesWhatHasNoModel) {
  EXPECT_THAT(format_error("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(format_error("{}"), HasSubstr("model"));
  EXPECT_THAT(format_error(R"({"model": 3})"), HasSubstr("model"));
  EXPECT_THAT(format_error(R"({"model": {"type": "BPE"}})"), HasSubstr("model.vocab: is missing"));
  EXPECT_THAT(format_error(R"({"model": {"vocab": {"a": 0}}})"), HasSubstr("model.merges"));
  EXPECT_THAT(format_error(R"({"model": {"vocab": {"a": 0}, "merges": null}})"),
              HasSubstr("model.merges"));
}

TEST(TokenizerJsonTest, RefusesOtherModels) {
  for (const char* type : {"Unigram", "WordPiece", "WordLevel"}) {
    EXPECT_THAT(error_after([&](Json& json) { json["model"]["type"] = type; }),
                AllOf(HasSubstr("model: "), HasSubstr(type)));
  }
  EXPECT_THAT(format_error(R"({"model": {"type": "Unigram", "vocab": [["a", -1.5]]}})"),
              HasSubstr("Unigram"));
  EXPECT_THAT(error_after([](Json& json) { json["model"]["dropout"] = 0.1; }),
              HasSubstr("model.dropout"));
}

TEST(TokenizerJsonTest, RefusesVocabularyEntriesThatAreNoIds) {
  for (const char* value : {"-1", "1.5", "\"0\"", "null", "true", "[0]", "{}", "4294967296",
                            "99999999999999999999999", "1e999", "4194304"}) {
    EXPECT_THAT(
        format_error(fmt::format(R"({{"model": {{"vocab": {{"a": {}}}, "merges": []}}}})", value)),
        HasSubstr("t.json: "))
        << value;
  }
}

TEST(TokenizerJsonTest, RefusesDuplicateTokensAndIds) {
  EXPECT_THAT(format_error(R"({"model": {"vocab": {"a": 0, "b": 0}, "merges": []}})"),
              AllOf(HasSubstr("model.vocab['b']"), HasSubstr("twice")));
  EXPECT_THAT(format_error(R"({"model": {"vocab": {"a": 0, "a": 1}, "merges": []}})"),
              HasSubstr("twice"));
  EXPECT_THAT(format_error(R"({"model": {"vocab": {}, "vocab": {}, "merges": []}})"),
              HasSubstr("model.vocab occurs twice"));
  EXPECT_THAT(error_after([](Json& json) { json["added_tokens"][1]["id"] = 97; }),
              HasSubstr("added_tokens[1]"));
  EXPECT_THAT(error_after([](Json& json) { json["added_tokens"][1]["id"] = 3; }),
              HasSubstr("added_tokens[1]"));
  EXPECT_THAT(error_after([](Json& json) { json["added_tokens"][1]["content"] = "ab"; }),
              HasSubstr("added_tokens[1]"));
}

TEST(TokenizerJsonTest, RefusesMalformedMerges) {
  const auto with = [](const char* merges) {
    return format_error(fmt::format(
        R"({{"model": {{"vocab": {{"a": 0, "b": 1, "ab": 2}}, "merges": {}}}}})", merges));
  };
  EXPECT_EQ(with(R"(["a b"])"), "accepted");
  EXPECT_EQ(with(R"([["a", "b"]])"), "accepted");
  EXPECT_THAT(with(R"(["ab"])"), HasSubstr("model.merges[0]"));
  EXPECT_THAT(with(R"(["a b", "a b c"])"), HasSubstr("model.merges[1]"));
  EXPECT_THAT(with(R"([["a"]])"), HasSubstr("model.merges[0]"));
  EXPECT_THAT(with(R"([["a", "b", "c"]])"), HasSubstr("model.merges[0]"));
  EXPECT_THAT(with(R"([["a", 1]])"), HasSubstr("model.merges[0]"));
  EXPECT_THAT(with(R"([["a", ["b"]]])"), HasSubstr("model.merges[0]"));
  EXPECT_THAT(with(R"([{"a": "b"}])"), HasSubstr("model.merges[0]"));
  EXPECT_THAT(with(R"([1])"), HasSubstr("model.merges[0]"));
  EXPECT_THAT(with(R"({"a": "b"})"), HasSubstr("model.merges"));
  EXPECT_THAT(with(R"(["a x"])"), AllOf(HasSubstr("model.merges[0]"), HasSubstr("'x'")));
  EXPECT_THAT(with(R"(["b a"])"), AllOf(HasSubstr("model.merges[0]"), HasSubstr("'ba'")));
  EXPECT_THAT(with(R"([" b"])"), HasSubstr("model.merges[0]"));
}

TEST(TokenizerJsonTest, NamesThePathOfAnUnsupportedStep) {
  EXPECT_THAT(error_after([](Json& json) {
                json["normalizer"] = {{"type", "Sequence"},
                                      {"normalizers", {{{"type", "NFC"}}, {{"type", "Nmt"}}}}};
              }),
              AllOf(HasSubstr("normalizer.normalizers[1]"), HasSubstr("Nmt")));
  EXPECT_THAT(error_after([](Json& json) {
                json["pre_tokenizer"] = {{"type", "UnicodeScripts"}};
              }),
              AllOf(HasSubstr("pre_tokenizer"), HasSubstr("UnicodeScripts")));
  EXPECT_THAT(error_after([](Json& json) {
                json["post_processor"] = {{"type", "Other"}};
              }),
              HasSubstr("post_processor"));
  EXPECT_THAT(error_after([](Json& json) {
                json["decoder"] = {{"type", "WordPiece"}};
              }),
              AllOf(HasSubstr("decoder"), HasSubstr("WordPiece")));
  EXPECT_THAT(error_after([](Json& json) {
                json["pre_tokenizer"] = {
                    {"type", "Sequence"},
                    {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "Whitespace"}}}}};
              }),
              HasSubstr("pre_tokenizer.pretokenizers[1]"));
}

TEST(TokenizerJsonTest, NamesThePathOfAFieldOfTheWrongType) {
  const auto error_with = [](const char* pointer, Json value) {
    return error_after([&](Json& json) { json[Json::json_pointer(pointer)] = std::move(value); });
  };
  EXPECT_THAT(error_with("/normalizer", 3), HasSubstr("normalizer"));
  EXPECT_THAT(error_with("/normalizer", Json::object()), HasSubstr("normalizer.type"));
  EXPECT_THAT(error_with("/added_tokens", "x"), HasSubstr("added_tokens"));
  EXPECT_THAT(error_with("/added_tokens/0/id", -1), HasSubstr("added_tokens[0].id"));
  EXPECT_THAT(error_with("/added_tokens/0/special", 1), HasSubstr("added_tokens[0].special"));
  EXPECT_THAT(error_with("/added_tokens/0/content", ""), HasSubstr("added_tokens[0].content"));
  EXPECT_THAT(error_with("/model/unk_token", "nope"), HasSubstr("model.unk_token"));
  EXPECT_THAT(error_with("/model/ignore_merges", "yes"), HasSubstr("model.ignore_merges"));
  EXPECT_THAT(
      error_with("/pre_tokenizer",
                 {{"type", "Split"}, {"pattern", {{"Regex", "("}}}, {"behavior", "Isolated"}}),
      HasSubstr("pre_tokenizer.pattern.Regex"));
  EXPECT_THAT(
      error_with("/pre_tokenizer", {{"type", "Split"}, {"pattern", "x"}, {"behavior", "Removed"}}),
      HasSubstr("pre_tokenizer.pattern"));
  EXPECT_THAT(
      error_with("/pre_tokenizer",
                 {{"type", "Split"}, {"pattern", {{"String", "x"}}}, {"behavior", "Sideways"}}),
      HasSubstr("pre_tokenizer.behavior"));
  EXPECT_THAT(error_with("/pre_tokenizer", {{"type", "Metaspace"}, {"prepend_scheme", "last"}}),
              HasSubstr("pre_tokenizer.prepend_scheme"));
  EXPECT_THAT(error_with("/post_processor", {{"type", "RobertaProcessing"}, {"cls", {"a"}}}),
              HasSubstr("post_processor.cls"));
  EXPECT_THAT(error_with("/post_processor", {{"type", "TemplateProcessing"},
                                             {"single", {{{"SpecialToken", {{"id", "x"}}}}}},
                                             {"special_tokens", Json::object()}}),
              HasSubstr("post_processor.special_tokens.x"));
  EXPECT_THAT(
      error_with("/post_processor",
                 {{"type", "TemplateProcessing"},
                  {"single", {{{"SpecialToken", {{"id", "x"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                  {"special_tokens", {{"x", {{"ids", {4000}}}}}}}),
      AllOf(HasSubstr("post_processor"), HasSubstr("4000")));
}

TEST(TokenizerJsonTest, SurvivesTheJsonTestSuite) {
  const std::filesystem::path folder = std::filesystem::path(E5V_SHARED_DATA) / "badinput/json";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "needs the JSON test suite in " << folder;
  size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    ++count;
    EXPECT_NE(format_error(read_file(entry.path())), "accepted") << entry.path();
    // As a part of the model, too.
    const std::string inside = R"({"model": {"vocab": )" + read_file(entry.path()) + "}}";
    EXPECT_NE(format_error(inside), "accepted") << entry.path();
  }
  EXPECT_GT(count, 300u);
}

}  // namespace
}  // namespace e5v::detail
