#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/parse_request.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kPath = "/v2/embed";

TEST(CohereRequestTest, HasTextsImagesOrInputs) {
  const auto parse = [](const char* body) { return parse_request(kPath, body); };
  const EmbeddingRequest texts = parse(
      R"({"texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float", "int8"],
                "output_dimension": 4, "truncate": "NONE"})");
  EXPECT_EQ(texts.items.size(), 2u);
  EXPECT_THAT(texts.encodings, ElementsAre(WireEncoding::kFloat, WireEncoding::kInt8));
  EXPECT_EQ(texts.dimensions, 4);
  EXPECT_FALSE(texts.truncate);
  EXPECT_EQ(parse(R"({"images": ["iVBORw=="]})").items[0].images.size(), 1u);
  const EmbeddingRequest inputs = parse(R"({"inputs": [{"content": [{"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "iVBORw=="}}]}]})");
  EXPECT_EQ(inputs.items[0].text, "a");
  EXPECT_EQ(inputs.items[0].images.size(), 1u);
  EXPECT_THAT(refusal_of(kPath, R"({"texts": ["a"], "images": ["iVBORw=="]})"),
              HasSubstr("one of"));
  EXPECT_THAT(refusal_of(kPath, R"({"texts": ["a"], "embedding_types": []})"),
              HasSubstr("embedding_types"));
  EXPECT_THAT(refusal_of(kPath, R"({"texts": ["a"], "truncate": "START"})"), HasSubstr("START"));
}

TEST(CohereRequestTest, TruncationIsEndOrNone) {
  EXPECT_TRUE(parse_request(kPath, R"({"texts": ["a"]})").truncate);
  EXPECT_TRUE(parse_request(kPath, R"({"texts": ["a"], "truncate": "END"})").truncate);
  EXPECT_THAT(refusal_of(kPath, R"({"texts": ["a"], "truncate": "MIDDLE"})"), HasSubstr("MIDDLE"));
}

TEST(CohereAnswerTest, EncodesIntegersAndBits) {
  const EmbeddingRequest request = parse_request(
      kPath, R"({"texts": ["a"], "embedding_types": ["int8", "uint8", "binary", "ubinary"]})");
  const Json answer = embedding_shape(kPath).answer(
      request, {.vectors = {{1, -0.5f, 0, 0.25f, 0, 0, 0, 0, 1}}, .num_tokens = 3});
  EXPECT_EQ(answer["embeddings"]["int8"][0], Json({127, -64, 0, 32, 0, 0, 0, 0, 127}));
  EXPECT_EQ(answer["embeddings"]["uint8"][0][1], 64);
  EXPECT_EQ(answer["embeddings"]["ubinary"][0], Json({0x90, 0x80}));
  EXPECT_EQ(answer["embeddings"]["binary"][0], Json({0x90 - 128, 0}));
  EXPECT_EQ(answer["texts"], Json({"a"}));
  EXPECT_EQ(answer["meta"]["billed_units"]["input_tokens"], 3);
}

}  // namespace
}  // namespace e5v::detail
