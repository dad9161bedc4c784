// The description of all addresses for programs.
#include "e5v/server/openapi.h"

#include "e5v/server/route.h"
#include "e5v/server/serving.h"

namespace e5v::detail {
namespace {

HttpAnswer openapi(const RouteCall& call) { return json_answer(openapi_document(call.routes)); }

}  // namespace

std::vector<Route> openapi_routes() {
  return {{.method = "GET",
           .path = "/openapi.json",
           .document = {.summary = "This document", .response = R"({"type": "object"})"},
           .answer_always = openapi,
           .is_open = true}};
}

}  // namespace e5v::detail
