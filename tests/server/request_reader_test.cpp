#include "e5v/server/request_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;
using testing::Not;

const WireLimits kLimits;

template <class Read>
std::string refusal(Read read) {
  try {
    read();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(RequestReaderTest, NamesThePlaceTheValueAndWhatWasExpected) {
  const Json json = {{"k", 0}, {"text", 5}, {"plus", {"a", 1}}, {"flag", "yes"}};
  const RequestReader reader(json, kLimits, "documents[2]");
  EXPECT_EQ(refusal([&] { reader.integer("k", 1, 9); }),
            "'documents[2].k' is 0, expected an integer from 1 to 9");
  EXPECT_EQ(refusal([&] { reader.string("text"); }), "'documents[2].text' is 5, expected a string");
  EXPECT_EQ(refusal([&] { reader.strings("plus"); }),
            "'documents[2].plus[1]' is 1, expected a string");
  EXPECT_EQ(refusal([&] { reader.flag("flag", true); }),
            "'documents[2].flag' is \"yes\", expected true or false");
  EXPECT_EQ(refusal([&] { reader.require("id"); }), "'documents[2].id' is missing");
  EXPECT_EQ(refusal([&] { RequestReader(Json::array(), kLimits); }),
            "'body' is an array of 0, expected a JSON object");
}

TEST(RequestReaderTest, NeverSpeaksOfTheBoundsOfItsTypes) {
  const Json json = {{"a", 1e300}, {"b", "x"}, {"c", {1e300}}};
  const RequestReader reader(json, kLimits);
  for (const std::string& text :
       {refusal([&] { reader.integer("a", 1); }), refusal([&] { reader.integer("b", 1); }),
        refusal([&] { reader.integers("c"); })}) {
    EXPECT_THAT(text, HasSubstr("integer"));
    EXPECT_THAT(text, Not(HasSubstr("922337203685477580")));
  }
}

TEST(RequestReaderTest, RefusesFieldsThatTheSchemaDoesNotList) {
  const Json schema = Json::parse(R"({"properties": {"k": {}, "text": {}}})");
  RequestReader({{"k", 1}}, kLimits).refuse_unknown(schema);
  EXPECT_EQ(refusal([&] {
              const Json json = {{"top_k", 1}};
              RequestReader(json, kLimits).refuse_unknown(schema);
            }),
            "'top_k' is no field here, known are k, text");
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(ParseImageTest, TakesDataUrlsAsRfc2397HasThem) {
  // Bytes whose base64 has all of + / =.
  const std::vector<std::byte> bytes = bytes_of("\xfb\xff\xbf!");
  for (const char* url :
       {"data:image/png;base64,+/+/IQ==", "data:image/png;charset=utf-8;base64,+/+/IQ==",
        "data:;base64,+/+/IQ==", "data:image/png;BASE64,+/+/IQ==", "DATA:image/png;base64,+/+/IQ==",
        "Data:image/png;Base64,+/+/IQ==", "data:image/png;base64,%2B%2f%2B%2FIQ%3D%3D",
        "data:image/png;base64,-_-_IQ", "+/+/IQ==", "+/+/IQ"}) {
    EXPECT_EQ(parse_image(url, "image", kLimits).bytes, bytes) << url;
  }
}

TEST(ParseImageTest, RefusesDataUrlsThatAreNone) {
  for (const char* url :
       {"data:image/png,abc", "data:image/png;base64", "data:image/png;base65,abcd",
        "data:base64,abcd", "data:;base64,%2", "data:;base64,%zz%zz"}) {
    EXPECT_NE(refusal([&] { parse_image(url, "image", kLimits); }), "no error") << url;
  }
}

TEST(ParseImageTest, KnowsUrlsInAnyCase) {
  EXPECT_EQ(parse_image("HTTPS://example.org/A.png", "image", kLimits).url,
            "https://example.org/A.png");
  EXPECT_EQ(parse_image("http://example.org/a.png", "image", kLimits).url,
            "http://example.org/a.png");
}

}  // namespace
}  // namespace e5v::detail
