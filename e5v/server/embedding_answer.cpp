#include "e5v/server/embedding_answer.h"

#include <cstddef>

#include "e5v/base/base64.h"
#include "e5v/embed/encoding.h"

namespace e5v::detail {

Json encoded_vector(std::span<const float> vector, WireEncoding encoding) {
  if (encoding == WireEncoding::kFloat) return std::vector<float>(vector.begin(), vector.end());
  if (encoding == WireEncoding::kBase64) return encode_base64(std::as_bytes(vector));
  const bool is_int8 = encoding == WireEncoding::kInt8 || encoding == WireEncoding::kUint8;
  std::vector<std::byte> bytes;
  append_encoded(vector, is_int8 ? Encoding::kInt8 : Encoding::kBinary, bytes);
  const int shift = encoding == WireEncoding::kUint8    ? 128
                    : encoding == WireEncoding::kBinary ? -128
                                                        : 0;
  std::vector<int> values;
  for (const std::byte byte : bytes) {
    const int value = is_int8 ? static_cast<int8_t>(byte) : std::to_integer<uint8_t>(byte);
    values.push_back(value + shift);
  }
  return values;
}

Json openai_answer(const EmbeddingRequest& request, const EmbeddingResult& result) {
  Json data = Json::array();
  for (size_t i = 0; i < result.vectors.size(); ++i) {
    data.push_back({{"object", "embedding"},
                    {"index", i},
                    {"embedding", encoded_vector(result.vectors[i], request.encodings.at(0))}});
  }
  return {{"object", "list"},
          {"model", result.model},
          {"data", std::move(data)},
          {"usage", {{"prompt_tokens", result.num_tokens}, {"total_tokens", result.num_tokens}}}};
}

}  // namespace e5v::detail
