// The document says what the server does: its examples are answered, its fields are read, its
// schemas hold.
#include "e5v/server/openapi.h"

#include <gmock/gmock.h>

#include <set>

#include "tests/server/service_fixture.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

class OpenApiGoldenTest : public ServiceFixture {
 protected:
  Json document() const { return Json::parse(client().Get("/openapi.json")->body); }
  /// Calls `check` with each address that takes a body.
  template <class Check>
  void for_each_body(const Json& document, Check check) const {
    for (const auto& [path, methods] : document["paths"].items()) {
      if (!methods.contains("post")) continue;
      check(path, methods["post"]["requestBody"]["content"]["application/json"],
            methods["post"]["responses"]["200"]["content"]["application/json"]["schema"]);
    }
  }
};

/// All `$ref`s in `json`.
void collect_references(const Json& json, std::vector<std::string>& references) {
  if (json.is_object() && json.contains("$ref")) references.push_back(json["$ref"]);
  if (!json.is_structured()) return;
  for (const Json& inner : json) collect_references(inner, references);
}

/// What of `schema` answers need: required fields and those that are there, by their types.
void expect_valid(const Json& value, const Json& schema, const Json& document,
                  const std::string& place) {
  if (schema.contains("$ref")) {
    const std::string reference = schema["$ref"];
    return expect_valid(value, document.at(Json::json_pointer(reference.substr(1))), document,
                        place);
  }
  if (!schema.contains("type")) return;
  const std::string type = schema["type"];
  const bool fits = type == "object"    ? value.is_object()
                    : type == "array"   ? value.is_array()
                    : type == "string"  ? value.is_string()
                    : type == "integer" ? value.is_number_integer()
                    : type == "number"  ? value.is_number()
                                        : value.is_null();
  EXPECT_TRUE(fits) << place << " is no " << type;
  if (value.is_array()) {
    for (const Json& element : value) {
      expect_valid(element, schema.value("items", Json::object()), document, place + "[]");
    }
  }
  if (!value.is_object() || schema.value("additionalProperties", false)) return;
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [name, inner] : value.items()) {
    EXPECT_TRUE(properties.contains(name)) << place << "." << name << " is not in the schema";
    if (properties.contains(name)) {
      expect_valid(inner, properties[name], document, place + "." + name);
    }
  }
  for (const Json& name : schema.value("required", Json::array())) {
    EXPECT_TRUE(value.contains(name.get<std::string>())) << place << " has no " << name;
  }
}

TEST_F(OpenApiGoldenTest, HasEveryRouteAndWhatItRefersTo) {
  start();
  const Json document = this->document();
  size_t num_operations = 0;
  std::set<std::string> operation_ids;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      ++num_operations;
      EXPECT_TRUE(operation_ids.insert(operation["operationId"]).second) << path;
    }
  }
  EXPECT_EQ(num_operations, routes().size());
  std::vector<std::string> references;
  collect_references(document, references);
  for (const std::string& reference : references) {
    EXPECT_TRUE(document.contains(Json::json_pointer(reference.substr(1)))) << reference;
  }
}

TEST_F(OpenApiGoldenTest, ExamplesAreAnsweredAsTheSchemasSay) {
  start();
  post("/v1/index", {{"documents", {{{"id", "note"}, {"text", "a"}}}}});
  const Json document = this->document();
  for_each_body(document, [&](const std::string& path, const Json& body, const Json& schema) {
    ASSERT_FALSE(body["examples"].empty()) << path;
    for (const auto& [name, example] : body["examples"].items()) {
      expect_valid(post(path, example["value"]), schema, document, path + " " + name);
    }
  });
  for (const char* path :
       {"/v1/models", "/v1/models/end_to_end_tiny", "/v1/collection", "/health"}) {
    std::string pattern = path;
    if (pattern.ends_with("tiny")) pattern = "/v1/models/{id}";
    expect_valid(Json::parse(client().Get(path)->body),
                 document["paths"][pattern]["get"]["responses"]["200"]["content"]
                         ["application/json"]["schema"],
                 document, path);
  }
  expect_valid(post("/v1/embeddings", Json::object(), 400),
               {{"$ref", "#/components/schemas/Error"}}, document, "error");
}

TEST_F(OpenApiGoldenTest, EveryFieldOfARequestIsRead) {
  start();
  for_each_body(document(), [&](const std::string& path, const Json& body, const Json&) {
    const Json least = body["examples"].begin().value()["value"];
    for (const auto& [field, schema] : body["schema"]["properties"].items()) {
      Json wrong = least;
      wrong[field] = Json::parse("[[[{}]]]");
      const Json answer = post(path, wrong, 400);
      EXPECT_THAT(answer["error"]["message"].get<std::string>(), HasSubstr(field)) << path;
    }
  });
}

TEST_F(OpenApiGoldenTest, ARouteIsAllThatANewAddressTakes) {
  static const std::vector<Route> table = [] {
    std::vector<Route> more(routes().begin(), routes().end());
    more.push_back({.method = "GET",
                    .path = "/v1/echo/{word}",
                    .document = {.summary = "Says it again", .parameter = R"({"type": "string"})"},
                    .answer = [](const RouteCall& call, Serving&) -> HttpAnswer {
                      return {.content_type = "text/plain", .body = call.parameter};
                    }});
    return more;
  }();
  table_ = table;
  start();
  EXPECT_EQ(client().Get("/v1/echo/hello")->body, "hello");
  EXPECT_THAT(client().Get("/metrics")->body,
              HasSubstr("e5v_requests_total{path=\"/v1/echo/{word}\",status=\"200\"} 1"));
  EXPECT_EQ(document()["paths"]["/v1/echo/{word}"]["get"]["summary"], "Says it again");
  EXPECT_THAT(client().Get("/nothing")->body, HasSubstr("GET /v1/echo/{word}"));
}

}  // namespace
}  // namespace e5v::detail
