#include "e5v/server/embedding_answer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "e5v/base/base64.h"
#include "e5v/embed/encoding.h"
#include "tests/server/parse_request.h"

namespace e5v::detail {
namespace {

TEST(OpenAiAnswerTest, HasNumbersOrBase64) {
  EmbeddingRequest request = parse_request("/v1/embeddings", R"({"input": ["a", "b"]})");
  const EmbeddingResult result{.model = "m", .vectors = {{1, 0}, {0.5f, -0.5f}}, .num_tokens = 9};
  EXPECT_EQ(openai_answer(request, result),
            Json::parse(R"({"object": "list", "model": "m", "data": [
              {"object": "embedding", "index": 0, "embedding": [1.0, 0.0]},
              {"object": "embedding", "index": 1, "embedding": [0.5, -0.5]}],
              "usage": {"prompt_tokens": 9, "total_tokens": 9}})"));
  request.encodings = {WireEncoding::kBase64};
  const std::string text = openai_answer(request, result)["data"][1]["embedding"];
  const auto bytes = decode_base64(text);
  ASSERT_EQ(bytes->size(), 8u);
  float second = 0;
  std::memcpy(&second, bytes->data() + 4, 4);
  EXPECT_EQ(second, -0.5f);
}

TEST(EncodedVectorTest, RoundsToInt8AsFilesDo) {
  // 127 * 0.5 / 1 lies between two integers.
  const std::vector<float> vector = {1, 0.5f, -0.5f, 0.3f};
  std::vector<std::byte> bytes;
  append_encoded(vector, Encoding::kInt8, bytes);
  const Json got = encoded_vector(vector, WireEncoding::kInt8);
  for (size_t i = 0; i < vector.size(); ++i) {
    EXPECT_EQ(got[i], static_cast<int8_t>(bytes[i])) << i;
  }
}

}  // namespace
}  // namespace e5v::detail
