#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/parse_request.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kPath = "/v1/embeddings";

EmbeddingRequest openai(const std::string& body) { return parse_request(kPath, body); }

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
  const auto error = [](const std::string& body) { return refusal_of(kPath, body); };
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
  EXPECT_THAT(refusal_of(kPath, many.dump()), HasSubstr("2049 items"));
  WireLimits small{.max_text_bytes = 3, .max_image_bytes = 3};
  EXPECT_THAT(refusal_of(kPath, R"({"input": "abcd"})", small), HasSubstr("4 bytes"));
  EXPECT_THAT(refusal_of(kPath, R"({"input": [{"image": "iVBORw=="}]})", small),
              HasSubstr("4 bytes"));
}

TEST(OpenAiRequestTest, AModalitySaysWhatTheStringsAre) {
  for (const char* path : {"/v1/embeddings", "/embeddings"}) {
    const EmbeddingRequest request = parse_request(
        path, R"({"modality": "image", "input": ["iVBORw==", "https://example.org/b.png"]})");
    ASSERT_EQ(request.items.size(), 2u);
    EXPECT_EQ(request.items[0].images.size(), 1u);
    EXPECT_FALSE(request.items[0].text);
    EXPECT_EQ(parse_request(path, R"({"modality": "text", "input": "a"})").items[0].text, "a");
    EXPECT_EQ(parse_request(path, R"({"input": "a"})").items[0].text, "a");
    EXPECT_THAT(refusal_of(path, R"({"modality": "audio", "input": "a"})"), HasSubstr("audio"));
    EXPECT_THAT(refusal_of(path, R"({"modality": "image", "input": [{"text": "a"}]})"),
                HasSubstr("a picture"));
  }
}

TEST(OpenAiRequestTest, MessagesMayStandInInput) {
  EXPECT_EQ(openai(R"({"input": [{"role": "user", "content": "a"}]})").items[0].text, "a");
  EXPECT_EQ(
      openai(
          R"({"input": [[{"role": "user", "content": "a"}], [{"role": "user", "content": "b"}]]})")
          .items.size(),
      2u);
  EXPECT_EQ(openai(R"({"input": [], "messages": [{"role": "user", "content": "a"}]})").items.size(),
            1u);
  EXPECT_THAT(
      refusal_of(kPath, R"({"input": "b", "messages": [{"role": "user", "content": "a"}]})"),
      HasSubstr("one of them"));
}

TEST(OpenAiRequestTest, ADeveloperIsTheSystemAndAnAssistantMayHaveNoContent) {
  const EmbeddingRequest request = openai(
      R"({"messages": [{"role": "developer", "content": "Find it."}, {"role": "user", "content": "a"},
          {"role": "assistant", "content": null}]})");
  EXPECT_EQ(request.items[0].text, "a");
  EXPECT_EQ(request.instruction, "Find it.");
}

TEST(OpenAiRequestTest, ConversationsOfDifferentSystemsAreRefused) {
  EXPECT_THAT(refusal_of(kPath, R"({"messages": [
          [{"role": "system", "content": "Find it."}, {"role": "user", "content": "a"}],
          [{"role": "system", "content": "Lose it."}, {"role": "user", "content": "b"}]]})"),
              HasSubstr("'messages[1]'"));
}

}  // namespace
}  // namespace e5v::detail
