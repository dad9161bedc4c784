// The answers of wire_types.h.
#include <algorithm>
#include <cmath>
#include <span>

#include "e5v/base/base64.h"
#include "e5v/server/wire_types.h"

namespace e5v {
namespace {

std::string_view encoding_name(WireEncoding encoding) {
  switch (encoding) {
    case WireEncoding::kFloat:
      return "float";
    case WireEncoding::kBase64:
      return "base64";
    case WireEncoding::kInt8:
      return "int8";
    case WireEncoding::kUint8:
      return "uint8";
    case WireEncoding::kBinary:
      return "binary";
    case WireEncoding::kUbinary:
      return "ubinary";
  }
  return "?";
}

Json encoded(const std::vector<float>& vector, WireEncoding encoding) {
  if (encoding == WireEncoding::kFloat) return vector;
  if (encoding == WireEncoding::kBase64) {
    return encode_base64(std::as_bytes(std::span(vector)));
  }
  std::vector<int> values;
  if (encoding == WireEncoding::kInt8 || encoding == WireEncoding::kUint8) {
    float largest = 0;
    for (const float value : vector) largest = std::max(largest, std::abs(value));
    const int shift = encoding == WireEncoding::kUint8 ? 128 : 0;
    for (const float value : vector) {
      const long rounded = largest > 0 ? std::lround(127 * value / largest) : 0;
      values.push_back(static_cast<int>(rounded) + shift);
    }
    return values;
  }
  // A bit a dimension, the first in the highest bit; "binary" are the same bytes less 128.
  const int shift = encoding == WireEncoding::kBinary ? 128 : 0;
  for (size_t begin = 0; begin < vector.size(); begin += 8) {
    int byte = 0;
    for (size_t bit = 0; bit < 8 && begin + bit < vector.size(); ++bit) {
      if (vector[begin + bit] > 0) byte |= 0x80 >> bit;
    }
    values.push_back(byte - shift);
  }
  return values;
}

}  // namespace

Json embedding_response(const EmbeddingRequest& request, const std::string& model,
                        const std::vector<std::vector<float>>& vectors, int64_t num_tokens,
                        const std::string& id) {
  if (request.shape == WireShape::kCohere) {
    Json embeddings = Json::object();
    for (const WireEncoding encoding : request.encodings) {
      Json& list = embeddings[std::string(encoding_name(encoding))] = Json::array();
      for (const auto& vector : vectors) list.push_back(encoded(vector, encoding));
    }
    Json texts = Json::array();
    for (const WireItem& item : request.items) {
      if (item.text && item.images.empty()) texts.push_back(*item.text);
    }
    return {
        {"id", id},
        {"response_type", "embeddings_by_type"},
        {"embeddings", std::move(embeddings)},
        {"texts", std::move(texts)},
        {"meta",
         {{"api_version", {{"version", "2"}}}, {"billed_units", {{"input_tokens", num_tokens}}}}}};
  }
  Json data = Json::array();
  for (size_t i = 0; i < vectors.size(); ++i) {
    data.push_back({{"object", "embedding"},
                    {"index", i},
                    {"embedding", encoded(vectors[i], request.encodings.at(0))}});
  }
  return {{"object", "list"},
          {"model", model},
          {"data", std::move(data)},
          {"usage", {{"prompt_tokens", num_tokens}, {"total_tokens", num_tokens}}}};
}

Json error_response(std::string_view message, std::string_view type, std::string_view code) {
  return {{"error", {{"message", message}, {"type", type}, {"param", nullptr}, {"code", code}}}};
}

}  // namespace e5v
