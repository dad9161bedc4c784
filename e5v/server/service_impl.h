// What service.cpp and service_collection.cpp share; nobody else includes it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "e5v/base/json.h"
#include "e5v/embed/embedder.h"
#include "e5v/index/collection.h"
#include "e5v/server/service.h"

namespace e5v {

HttpAnswer json_answer(const Json& json, int status = 200);
HttpAnswer error_answer(int status, std::string_view message, std::string_view type,
                        std::string_view code);
/// Throws FormatError where the body is no JSON, InputError where it has millions of values.
Json parse_body(const HttpCall& call);
/// In hexadecimal digits.
std::string sha256(std::string_view text);

/// All that there is once the model is loaded.
struct Service::Loaded {
  std::unique_ptr<Embedder> embedder;
  std::unique_ptr<Collection> collection;
  PrepareOptions prepare;
  std::string model_name;
  std::unique_ptr<Batcher> batcher;  // last: it ends before what it uses
};

}  // namespace e5v
