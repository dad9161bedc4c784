#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/parse_request.h"

namespace e5v::detail {
namespace {

constexpr const char* kPath = "/v1/multimodalembeddings";

TEST(VoyageRequestTest, HasInputsOfParts) {
  const EmbeddingRequest request =
      parse_request(kPath, R"({"inputs": [{"content": [{"type": "text", "text": "a"},
          {"type": "image_base64", "image_base64": "data:image/jpeg;base64,iVBORw=="},
          {"type": "image_url", "image_url": "https://example.org/b.png"}]}], "input_type": null,
          "truncation": true, "output_encoding": null})");
  ASSERT_EQ(request.items.size(), 1u);
  EXPECT_EQ(request.items[0].images.size(), 2u);
  EXPECT_TRUE(request.truncate);
}

}  // namespace
}  // namespace e5v::detail
