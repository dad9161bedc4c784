#include "e5v/server/wire_types.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "e5v/base/base64.h"
#include "e5v/base/error.h"
#include "e5v/base/random.h"

namespace e5v {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Four bytes that stand for a picture.
constexpr const char* kImage = "iVBORw==";

EmbeddingRequest openai(const std::string& body) {
  return parse_embeddings_request(Json::parse(body), {});
}

template <class Parse>
std::string error_of(Parse parse, const std::string& body) {
  try {
    parse(Json::parse(body), WireLimits{});
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(OpenAiRequestTest, TakesAStringStringsAndTokenIds) {
  EXPECT_EQ(openai(R"({"input": "a"})").items[0].text, "a");
  const EmbeddingRequest many = openai(
      R"({"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 5, "user": "x"})");
  ASSERT_EQ(many.items.size(), 2u);
  EXPECT_EQ(many.items[1].text, "b");
  EXPECT_EQ(many.model, "m");
  EXPECT_EQ(many.dimensions, 5);
  EXPECT_THAT(many.encodings, ElementsAre(WireEncoding::kBase64));
  EXPECT_THAT(openai(R"({"input": [1, 2]})").items[0].token_ids, ElementsAre(1, 2));
  const EmbeddingRequest lists = openai(R"({"input": [[1], [2, 3]]})");
  ASSERT_EQ(lists.items.size(), 2u);
  EXPECT_THAT(lists.items[1].token_ids, ElementsAre(2, 3));
}

TEST(OpenAiRequestTest, TakesItemsOfTextAndImage) {
  const EmbeddingRequest request = openai(
      R"({"input": [{"text": "a"}, {"image": "iVBORw=="}, {"text": "b", "image": "data:image/png;base64,iVBORw=="},
          {"url": "https://example.org/a.png"}, "c"]})");
  ASSERT_EQ(request.items.size(), 5u);
  EXPECT_EQ(request.items[0].text, "a");
  EXPECT_EQ(request.items[1].images[0].bytes.size(), 4u);
  EXPECT_EQ(request.items[2].text, "b");
  EXPECT_EQ(request.items[2].images.size(), 1u);
  EXPECT_EQ(request.items[3].images[0].url, "https://example.org/a.png");
  EXPECT_EQ(request.items[4].text, "c");
}

TEST(OpenAiRequestTest, PartsOfOneListAreOneItem) {
  const EmbeddingRequest request = openai(
      R"({"input": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "iVBORw=="}}]})");
  ASSERT_EQ(request.items.size(), 1u);
  EXPECT_EQ(request.items[0].text, "a");
  EXPECT_EQ(request.items[0].images.size(), 1u);
}

TEST(OpenAiRequestTest, MessagesAreOneItemAndListsOfMessagesMany) {
  const std::string messages =
      R"([{"role": "system", "content": "Find it."}, {"role": "user", "content":
          [{"type": "image_url", "image_url": {"url": "iVBORw=="}}, {"type": "text", "text": "at night"}]},
          {"role": "assistant", "content": ""}])";
  const EmbeddingRequest one = openai(R"({"messages": )" + messages + "}");
  ASSERT_EQ(one.items.size(), 1u);
  EXPECT_EQ(one.items[0].text, "at night");
  EXPECT_EQ(one.items[0].images.size(), 1u);
  EXPECT_EQ(one.instruction, "Find it.");
  const EmbeddingRequest many = openai(
      R"({"messages": [[{"role": "user", "content": "a"}], [{"role": "user", "content": "b"}]]})");
  ASSERT_EQ(many.items.size(), 2u);
  EXPECT_EQ(many.items[1].text, "b");
}

TEST(OpenAiRequestTest, PromptFieldsChooseAPromptAndUsualNamesTheDefault) {
  EXPECT_EQ(openai(R"({"input": "a", "prompt_name": "sts"})").task, "sts");
  EXPECT_EQ(openai(R"({"input": "a", "task": "cirr"})").task, "cirr");
  EXPECT_EQ(openai(R"({"input": "a", "task": "retrieval.query"})").task, "");
  EXPECT_EQ(openai(R"({"input": "a", "instruction": "In one word:"})").instruction, "In one word:");
}

TEST(OpenAiRequestTest, WrongTypesAreNamed) {
  const auto error = [](const std::string& body) {
    return error_of(parse_embeddings_request, body);
  };
  EXPECT_THAT(error("[]"), HasSubstr("'body'"));
  EXPECT_THAT(error("{}"), HasSubstr("'input' is missing"));
  EXPECT_THAT(error(R"({"input": null})"), HasSubstr("'input' is missing"));
  EXPECT_THAT(error(R"({"input": 5})"), HasSubstr("'input' is 5"));
  EXPECT_THAT(error(R"({"input": []})"), HasSubstr("'input' is empty"));
  EXPECT_THAT(error(R"({"input": ["a", 5]})"), HasSubstr("'input[1]' is 5"));
  EXPECT_THAT(error(R"({"input": [1, -2]})"), HasSubstr("token ids"));
  EXPECT_THAT(error(R"({"input": [1, 1e99]})"), HasSubstr("token ids"));
  EXPECT_THAT(error(R"({"input": [{}]})"), HasSubstr("neither a text nor an image"));
  EXPECT_THAT(error(R"({"input": [{"image": "%%%"}]})"), HasSubstr("nor valid base64"));
  EXPECT_THAT(error(R"({"input": [{"image": "file:///etc/passwd"}]})"),
              HasSubstr("nor valid base64"));
  EXPECT_THAT(error(R"({"input": [{"image": "data:image/png,abc"}]})"),
              HasSubstr("without ';base64,'"));
  EXPECT_THAT(error(R"({"input": "a", "dimensions": -1})"), HasSubstr("'dimensions'"));
  EXPECT_THAT(error(R"({"input": "a", "dimensions": 1e300})"), HasSubstr("'dimensions'"));
  EXPECT_THAT(error(R"({"input": "a", "dimensions": "x"})"), HasSubstr("'dimensions'"));
  EXPECT_THAT(error(R"({"input": "a", "encoding_format": "hex"})"), HasSubstr("'encoding_format'"));
  EXPECT_THAT(error(R"({"input": "a", "model": 7})"), HasSubstr("'model'"));
  EXPECT_THAT(error(R"({"messages": []})"), HasSubstr("'messages'"));
  EXPECT_THAT(error(R"({"messages": [{"content": "a"}]})"), HasSubstr("'role'"));
  EXPECT_THAT(error(R"({"messages": [{"role": "assistant", "content": "a"}]})"),
              HasSubstr("messages"));
  EXPECT_THAT(error(R"({"input": [{"type": "audio", "audio": "x"}]})"), HasSubstr("'audio'"));
  EXPECT_THAT(error(R"({"input": [{"type": "text"}]})"), HasSubstr("is missing"));
}

TEST(OpenAiRequestTest, LimitsHold) {
  Json many = {{"input", Json::array()}};
  for (int i = 0; i < 2049; ++i) many["input"].push_back("a");
  EXPECT_THAT(error_of(parse_embeddings_request, many.dump()), HasSubstr("2049 items"));
  WireLimits small{.max_text_bytes = 3, .max_image_bytes = 3};
  EXPECT_THROW(parse_embeddings_request({{"input", "abcd"}}, small), InputError);
  EXPECT_THROW(parse_embeddings_request({{"input", {{{"image", kImage}}}}}, small), InputError);
}

TEST(OtherRequestsTest, CohereHasTextsImagesOrInputs) {
  const auto parse = [](const char* body) { return parse_cohere_request(Json::parse(body), {}); };
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
  EXPECT_THAT(error_of(parse_cohere_request, R"({"texts": ["a"], "images": ["iVBORw=="]})"),
              HasSubstr("one of"));
  EXPECT_THAT(error_of(parse_cohere_request, R"({"texts": ["a"], "embedding_types": []})"),
              HasSubstr("embedding_types"));
  EXPECT_THAT(error_of(parse_cohere_request, R"({"texts": ["a"], "truncate": "START"})"),
              HasSubstr("START"));
}

TEST(OtherRequestsTest, VoyageHasInputsOfParts) {
  const EmbeddingRequest request =
      parse_voyage_request(Json::parse(R"({"inputs": [{"content": [{"type": "text", "text": "a"},
          {"type": "image_base64", "image_base64": "data:image/jpeg;base64,iVBORw=="},
          {"type": "image_url", "image_url": "https://example.org/b.png"}]}], "input_type": null,
          "truncation": true, "output_encoding": null})"),
                           {});
  ASSERT_EQ(request.items.size(), 1u);
  EXPECT_EQ(request.items[0].images.size(), 2u);
  EXPECT_TRUE(request.truncate);
}

TEST(OtherRequestsTest, InfinityHasAModality) {
  const EmbeddingRequest request = parse_infinity_request(
      Json::parse(R"({"modality": "image", "input": ["iVBORw==", "https://example.org/b.png"]})"),
      {});
  ASSERT_EQ(request.items.size(), 2u);
  EXPECT_EQ(request.items[0].images.size(), 1u);
  EXPECT_FALSE(request.items[0].text);
  EXPECT_EQ(parse_infinity_request(Json::parse(R"({"input": "a"})"), {}).items[0].text, "a");
  EXPECT_THAT(error_of(parse_infinity_request, R"({"modality": "audio", "input": "a"})"),
              HasSubstr("audio"));
}

TEST(EmbeddingResponseTest, IsOpenAisUnlessTheShapeIsAnother) {
  EmbeddingRequest request = openai(R"({"input": ["a", "b"]})");
  const std::vector<std::vector<float>> vectors = {{1, 0}, {0.5f, -0.5f}};
  EXPECT_EQ(embedding_response(request, "m", vectors, 9, "id"),
            Json::parse(R"({"object": "list", "model": "m", "data": [
              {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]},
              {"object": "embedding", "index": 1, "embedding": [0.5, -0.5]}],
              "usage": {"prompt_tokens": 9, "total_tokens": 9}})"));
  request.encodings = {WireEncoding::kBase64};
  const std::string text = embedding_response(request, "m", vectors, 9, "")["data"][1]["embedding"];
  const auto bytes = decode_base64(text);
  ASSERT_EQ(bytes->size(), 8u);
  float second = 0;
  std::memcpy(&second, bytes->data() + 4, 4);
  EXPECT_EQ(second, -0.5f);
}

TEST(EmbeddingResponseTest, EncodesIntegersAndBits) {
  EmbeddingRequest request = parse_cohere_request(
      Json::parse(R"({"texts": ["a"], "embedding_types": ["int8", "uint8", "binary", "ubinary"]})"),
      {});
  const Json answer =
      embedding_response(request, "m", {{1, -0.5f, 0, 0.25f, 0, 0, 0, 0, 1}}, 3, "id");
  EXPECT_EQ(answer["embeddings"]["int8"][0], Json({127, -64, 0, 32, 0, 0, 0, 0, 127}));
  EXPECT_EQ(answer["embeddings"]["uint8"][0][1], 64);
  EXPECT_EQ(answer["embeddings"]["ubinary"][0], Json({0x90, 0x80}));
  EXPECT_EQ(answer["embeddings"]["binary"][0], Json({0x90 - 128, 0}));
  EXPECT_EQ(answer["texts"], Json({"a"}));
  EXPECT_EQ(answer["meta"]["billed_units"]["input_tokens"], 3);
}

/// Every prefix and many mutations of valid requests: an answer or an InputError, never anything
/// else.
TEST(HostileRequestsTest, AreAnsweredOrRefused) {
  const std::vector<std::string> seeds = {
      R"({"model":"m","input":["a",{"text":"b","image":"data:image/png;base64,iVBORw=="}],"dimensions":3})",
      R"({"messages":[[{"role":"user","content":[{"type":"image_url","image_url":{"url":"iVBORw=="}}]}]]})",
      R"({"inputs":[{"content":[{"type":"text","text":"a"}]}],"texts":["b"],"embedding_types":["int8"]})",
  };
  SplitMix64 random(1);
  int num_parsed = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string body = seeds[random.below(seeds.size())];
    for (uint64_t i = 0; i < 1 + random.below(4); ++i) {
      const size_t at = random.below(body.size());
      switch (random.below(3)) {
        case 0:
          body[at] = static_cast<char>(random.below(128));
          break;
        case 1:
          body.erase(at, 1 + random.below(8));
          break;
        default:
          body.insert(at, std::string(1, "{}[]\",:0-"[random.below(9)]));
      }
      if (body.empty()) body = "{}";
    }
    const Json json = Json::parse(body, nullptr, false);
    if (json.is_discarded()) continue;
    for (const auto parse : {parse_embeddings_request, parse_cohere_request, parse_voyage_request,
                             parse_infinity_request}) {
      try {
        parse(json, WireLimits{});
        ++num_parsed;
      } catch (const InputError&) {
      }
    }
  }
  EXPECT_GT(num_parsed, 100);
}

}  // namespace
}  // namespace e5v
