#pragma once

#include <span>
#include <string_view>

#include "e5v/base/json.h"

namespace e5v::detail {

struct Route;

/// What the OpenAPI document says of an address. Schemas and examples are texts of JSON; they may
/// refer to `#/components/schemas/NAME`, which are those of openapi.cpp.
struct RouteDocument {
  std::string_view summary;
  /// JSON schema of the body, an object; empty = there is none.
  std::string_view request = {};
  /// Bodies by name; each is answered with 200.
  std::string_view examples = {};
  /// JSON schema of the answer; empty = it is no JSON.
  std::string_view response = {};
  /// Media type of the answer.
  std::string_view response_type = "application/json";
  /// JSON schema of the path's parameter, if it has one.
  std::string_view parameter = {};
  /// Another status that comes with such an answer, such as "503".
  std::string_view other_status = {};
};

/// The body's schema as the document has it.
Json request_schema(const Route& route);

/// `routes` in the form of OpenAPI 3.1.
Json openapi_document(std::span<const Route> routes);

}  // namespace e5v::detail
