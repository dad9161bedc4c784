// Whether requests are served.
#include "e5v/server/route.h"
#include "e5v/server/serving.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kResponse = R"({
  "type": "object",
  "required": ["status"],
  "properties": {"status": {"type": "string", "enum": ["ok", "loading"],
                            "description": "loading comes with the status 503"}}
})";

HttpAnswer health(const RouteCall& call) {
  const bool is_loaded = call.serving != nullptr;
  return json_answer({{"status", is_loaded ? "ok" : "loading"}}, is_loaded ? 200 : 503);
}

}  // namespace

std::vector<Route> health_routes() {
  return {{.method = "GET",
           .path = "/health",
           .document = {.summary = "Whether requests are served",
                        .response = kResponse,
                        .other_status = "503"},
           .answer_always = health,
           .is_open = true}};
}

}  // namespace e5v::detail
