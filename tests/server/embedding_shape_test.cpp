// What holds of every shape of embedding requests.
#include "e5v/server/embedding_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/random.h"
#include "tests/server/parse_request.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

/// The least request of each shape.
const std::vector<std::pair<std::string_view, Json>> kLeast = {
    {"/v1/embeddings", {{"input", "a"}}},
    {"/embeddings", {{"input", "a"}}},
    {"/v2/embed", {{"texts", {"a"}}}},
    {"/v1/multimodalembeddings", {{"inputs", {"a"}}}},
};

EmbeddingRequest with(std::string_view path, Json body, const char* field, const Json& value) {
  body[field] = value;
  return parse_request(path, body.dump());
}

std::string refusal_with(std::string_view path, Json body, const char* field, const Json& value) {
  body[field] = value;
  return refusal_of(path, body.dump());
}

TEST(EveryShapeTest, HonoursOptionsUnderTheNamesOfAllServices) {
  for (const auto& [path, least] : kLeast) {
    for (const char* field : {"dimensions", "output_dimension"}) {
      EXPECT_EQ(with(path, least, field, 5).dimensions, 5) << path;
    }
    for (const char* field : {"encoding_format", "embedding_type", "embedding_types",
                              "output_encoding", "output_dtype"}) {
      EXPECT_EQ(with(path, least, field, "int8").encodings[0], WireEncoding::kInt8) << path;
      EXPECT_EQ(with(path, least, field, {"int8"}).encodings[0], WireEncoding::kInt8) << path;
    }
    for (const char* field : {"truncate", "truncation"}) {
      EXPECT_TRUE(with(path, least, field, true).truncate) << path;
      EXPECT_FALSE(with(path, least, field, false).truncate) << path;
      EXPECT_TRUE(with(path, least, field, "END").truncate) << path;
      EXPECT_FALSE(with(path, least, field, "NONE").truncate) << path;
    }
    EXPECT_EQ(with(path, least, "prompt_name", "sts").task, "sts") << path;
  }
}

TEST(EveryShapeTest, RefusesFieldsThatWouldChangeVectorsAndAreNotHonoured) {
  for (const auto& [path, least] : kLeast) {
    for (const auto& [field, value] :
         std::vector<std::pair<const char*, Json>>{{"normalized", false},
                                                   {"normalize", false},
                                                   {"late_chunking", true},
                                                   {"return_multivector", true},
                                                   {"add_special_tokens", false},
                                                   {"truncation_direction", "Left"},
                                                   {"truncate_prompt_tokens", 5},
                                                   {"max_tokens", 5},
                                                   {"chat_template", "{{ x }}"},
                                                   {"mm_processor_kwargs", Json::object()},
                                                   {"documents", {"b"}},
                                                   {"contents", {"b"}}}) {
      EXPECT_THAT(refusal_with(path, least, field, value), HasSubstr(field)) << path;
    }
    EXPECT_EQ(with(path, least, "normalized", true).items.size(), 1u);
    EXPECT_EQ(with(path, least, "user", "me").items.size(), 1u);
    EXPECT_EQ(with(path, least, "priority", 0).items.size(), 1u);
  }
}

TEST(EveryShapeTest, RefusesContentInAnothersField) {
  EXPECT_THAT(refusal_of("/v1/embeddings", R"({"input": "a", "images": ["iVBORw=="]})"),
              HasSubstr("'images' is not taken here, expected 'input' or 'messages'"));
  EXPECT_THAT(refusal_of("/v2/embed", R"({"texts": ["a"], "input": "b"})"), HasSubstr("'input'"));
  EXPECT_THAT(refusal_of("/v1/multimodalembeddings", R"({"inputs": ["a"], "texts": ["b"]})"),
              HasSubstr("'texts'"));
  EXPECT_THAT(refusal_of("/v1/embeddings", R"({"input": [{"text": "a", "video": "b"}]})"),
              HasSubstr("only texts and pictures"));
}

TEST(EveryShapeTest, RefusesDimensionsThatAreNone) {
  for (const auto& [path, least] : kLeast) {
    for (const Json& value : {Json(0), Json(-1), Json(1.5), Json("8"), Json(1e300)}) {
      const std::string refusal = refusal_with(path, least, "dimensions", value);
      EXPECT_THAT(refusal, HasSubstr("expected an integer of 1 or more")) << path << value;
    }
    EXPECT_THAT(refusal_of(path,
                           [&, body = least]() mutable {
                             body["dimensions"] = 4;
                             body["output_dimension"] = 5;
                             return body.dump();
                           }()),
                HasSubstr("differ"));
  }
}

TEST(EveryShapeTest, RefusesEncodingsThatContradict) {
  EXPECT_THAT(refusal_of("/v1/embeddings",
                         R"({"input": "a", "encoding_format": "float", "embedding_type": "int8"})"),
              HasSubstr("contradicts"));
  EXPECT_THAT(
      refusal_of("/v1/embeddings", R"({"input": "a", "embedding_type": ["float", "int8"]})"),
      HasSubstr("one encoding"));
}

TEST(EveryShapeTest, TakesTheNamesOfOtherServicesTasks) {
  for (const char* task : {"retrieval.query", "text-matching", "classification", "separation",
                           "code.query", "query", "document"}) {
    EXPECT_EQ(with("/v1/embeddings", {{"input", "a"}}, "task", task).task, "") << task;
  }
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
    for (const EmbeddingShape& shape : embedding_shapes()) {
      try {
        shape.parse(json, WireLimits{});
        ++num_parsed;
      } catch (const InputError&) {
      }
    }
  }
  EXPECT_GT(num_parsed, 100);
}

}  // namespace
}  // namespace e5v::detail
