// The one model, as OpenAI's clients list models.
#include "e5v/base/error.h"
#include "e5v/server/route.h"
#include "e5v/server/serving.h"

namespace e5v::detail {
namespace {

Json model_json(const Serving& serving) {
  return {{"id", serving.model_name},
          {"object", "model"},
          {"created", serving.loaded_at},
          {"owned_by", "e5v"},
          {"dimensions", serving.embedder->dimensions()},
          {"precision", serving.embedder->precision()},
          {"embedding_spec", serving.spec.compared_json()},
          {"embedding_spec_hash", serving.spec.hash()}};
}

HttpAnswer models(const RouteCall&, Serving& serving) {
  return json_answer({{"object", "list"}, {"data", {model_json(serving)}}});
}

HttpAnswer model(const RouteCall& call, Serving& serving) {
  if (call.parameter == serving.model_name) return json_answer(model_json(serving));
  return error_answer(404,
                      fmt::format("there is no model '{}', this server has '{}'",
                                  printable(call.parameter), printable(serving.model_name)),
                      "invalid_request_error", "model_not_found");
}

}  // namespace

std::vector<Route> models_routes() {
  return {{.method = "GET",
           .path = "/v1/models",
           .document = {.summary = "The model, in a list of one", .response = R"({
                          "type": "object",
                          "required": ["object", "data"],
                          "properties": {
                            "object": {"type": "string", "const": "list"},
                            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}}})"},
           .answer = models},
          {.method = "GET",
           .path = "/v1/models/{id}",
           .document = {.summary = "The model",
                        .response = R"({"$ref": "#/components/schemas/Model"})",
                        .parameter = R"({"type": "string"})"},
           .answer = model}};
}

}  // namespace e5v::detail
