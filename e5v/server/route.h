#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "e5v/server/http_server.h"
#include "e5v/server/openapi.h"

namespace e5v::detail {

struct EmbeddingShape;
struct Route;
struct Serving;

/// A request on its way to a route's answer.
struct RouteCall {
  const HttpCall& http;
  const Route& route;
  std::span<const Route> routes;  ///< of this server
  std::string parameter;          ///< what the path has in the place of {…}
  Serving* serving;               ///< null while the model is being loaded
};

/// One address of `e5v serve`. Where it leads, the labels of metrics and the OpenAPI document
/// follow from it. A file of requests/ has one or a few; its name stands in the list of
/// CMakeLists.txt.
struct Route {
  std::string_view method = "POST";
  /// As OpenAPI writes it; at most one {parameter}, a whole segment.
  std::string_view path;
  RouteDocument document;
  /// Called once the model is loaded. Throws InputError for what the client can mend.
  HttpAnswer (*answer)(const RouteCall& call, Serving& serving) = nullptr;
  /// Instead, for what is answered at any time.
  HttpAnswer (*answer_always)(const RouteCall& call) = nullptr;
  /// Also without the API key.
  bool is_open = false;
  /// The shape of an address for embeddings.
  const EmbeddingShape* embeddings = nullptr;
};

/// All of them, those for embeddings first, in the order of CMakeLists.txt.
std::span<const Route> routes();

/// nullopt unless `path` is one of `route`'s; else what stands for its parameter, or "".
std::optional<std::string> match_path(const Route& route, std::string_view path);

}  // namespace e5v::detail
