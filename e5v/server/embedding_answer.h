#pragma once

#include <span>

#include "e5v/base/json.h"
#include "e5v/server/wire_types.h"

namespace e5v::detail {

/// One vector as JSON: numbers, or base64 of float32, little-endian. int8 and binary as
/// append_encoded makes them (e5v/embed/encoding.h); uint8 is int8 plus 128, ubinary and binary are
/// a bit a dimension, the first in the highest bit, binary less 128.
Json encoded_vector(std::span<const float> vector, WireEncoding encoding);

/// {"object": "list", "data": [{"object": "embedding", "index", "embedding"}], "model", "usage"},
/// as OpenAI's clients and most others expect it, in the request's first encoding.
Json openai_answer(const EmbeddingRequest& request, const EmbeddingResult& result);

}  // namespace e5v::detail
