// Whose fault an error is, and what a client hears of it: one test for each class.
#include <gmock/gmock.h>

#include <cstring>

#include "e5v/base/error.h"
#include "e5v/server/batcher.h"
#include "tests/server/service_fixture.h"

namespace e5v::detail {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

template <class Failure>
HttpAnswer fail(const RouteCall&, Serving&) {
  if constexpr (std::is_same_v<Failure, FileError>) {
    throw FileError("/home/me/a.db", "cannot open", "it is gone");
  } else if constexpr (std::is_same_v<Failure, FormatError>) {
    throw FormatError("/home/me/a.db", "is damaged");
  } else {
    throw Failure("/home/me/a.db is wrong");
  }
}

const std::vector<Route> kFailing = {
    {.method = "GET", .path = "/input", .answer = fail<InputError>},
    {.method = "GET", .path = "/file", .answer = fail<FileError>},
    {.method = "GET", .path = "/format", .answer = fail<FormatError>},
    {.method = "GET", .path = "/config", .answer = fail<ConfigError>},
    {.method = "GET", .path = "/error", .answer = fail<Error>},
    {.method = "GET", .path = "/logic", .answer = fail<std::logic_error>},
    {.method = "GET", .path = "/overloaded", .answer = fail<OverloadedError>},
    {.method = "GET", .path = "/cancelled", .answer = fail<CancelledError>},
};

class ErrorsGoldenTest : public ServiceFixture {
 protected:
  /// The answer is 500 with an id, the log has the id and the message.
  void expect_internal(const httplib::Result& answer, const std::string& logged) {
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 500) << answer->body;
    const Json error = Json::parse(answer->body)["error"];
    EXPECT_EQ(error["type"], "server_error");
    EXPECT_EQ(error["message"], "internal error; it is logged as 1");
    EXPECT_THAT(log_text(), AllOf(HasSubstr("request 1: "), HasSubstr(logged)));
  }
  void start_failing() {
    table_ = kFailing;
    start();
  }
};

TEST_F(ErrorsGoldenTest, AnInputErrorIsTheClients) {
  start_failing();
  const auto answer = client().Get("/input");
  EXPECT_EQ(answer->status, 400);
  EXPECT_EQ(Json::parse(answer->body)["error"]["message"], "/home/me/a.db is wrong");
  EXPECT_EQ(log_text(), "");
}

TEST_F(ErrorsGoldenTest, AFileErrorIsLoggedUnderAnId) {
  start_failing();
  expect_internal(client().Get("/file"), "/home/me/a.db: cannot open: it is gone");
}

TEST_F(ErrorsGoldenTest, AFormatErrorIsLoggedUnderAnId) {
  start_failing();
  expect_internal(client().Get("/format"), "/home/me/a.db: is damaged");
}

TEST_F(ErrorsGoldenTest, AConfigErrorIsLoggedUnderAnId) {
  start_failing();
  expect_internal(client().Get("/config"), "/home/me/a.db is wrong");
}

TEST_F(ErrorsGoldenTest, AnyOtherErrorIsLoggedUnderAnId) {
  start_failing();
  expect_internal(client().Get("/error"), "/home/me/a.db is wrong");
}

TEST_F(ErrorsGoldenTest, ABrokenInvariantIsLoggedUnderAnId) {
  start_failing();
  expect_internal(client().Get("/logic"), "/home/me/a.db is wrong");
}

TEST_F(ErrorsGoldenTest, AFullQueueAndAClientThatIsGoneAreNoErrorsOfTheServer) {
  start_failing();
  const auto overloaded = client().Get("/overloaded");
  EXPECT_EQ(overloaded->status, 429);
  EXPECT_EQ(overloaded->get_header_value("Retry-After"), "1");
  EXPECT_EQ(client().Get("/cancelled")->status, 499);
  EXPECT_EQ(log_text(), "");
}

TEST_F(ErrorsGoldenTest, WhatAClientSentWronglyIsSaidToIt) {
  start();
  const std::string data = encode_base64(std::as_bytes(std::span("no picture at all")));
  const auto message = [&](const std::string& path, const Json& body) {
    return post(path, body, 400)["error"]["message"].get<std::string>();
  };
  EXPECT_THAT(message("/v1/embeddings", {{"input", {{{"image", data}}}}}),
              HasSubstr("not a JPEG, PNG, WebP, GIF or BMP image"));
  EXPECT_THAT(message("/v1/embeddings", {{"input", {"a", {{"image", data}}}}}),
              HasSubstr("item 1: "));
  EXPECT_THAT(message("/v1/embeddings", {{"input", "a"}, {"prompt_name", "sing"}}),
              HasSubstr("unknown task 'sing'"));
  EXPECT_THAT(message("/v1/search", {{"text", 5}}), HasSubstr("'text' is 5, expected a string"));
  EXPECT_THAT(message("/v1/search", {{"text", "a"}, {"k", 1e300}}),
              HasSubstr("expected an integer from 1 to 1000"));
  EXPECT_THAT(message("/v1/index", {{"documents", {{{"id", 5}}}}}),
              HasSubstr("'documents[0].id' is 5"));
  EXPECT_EQ(log_text(), "");
}

TEST_F(ErrorsGoldenTest, AModelWithoutPicturesSaysSoAndKeepsItsPathsToItself) {
  model_ = folder_ / "no_pictures";
  std::filesystem::copy(kModel, model_, std::filesystem::copy_options::recursive);
  write_file(model_ / "preprocessor_config.json", "{");
  start();
  EXPECT_THAT(log_text(), HasSubstr("preprocessor_config.json"));
  const Json answer = post("/v1/embeddings", {{"input", {{{"image", image_base64()}}}}}, 400);
  EXPECT_THAT(answer["error"]["message"].get<std::string>(),
              AllOf(HasSubstr("cannot take pictures"), Not(HasSubstr("/"))));
  post("/v1/embeddings", {{"input", "a"}});
}

TEST_F(ErrorsGoldenTest, AModelThatGivesNoNumbersIsNotAnsweredWithNulls) {
  model_ = folder_ / "not_a_number";
  std::filesystem::copy(kModel, model_, std::filesystem::copy_options::recursive);
  const std::filesystem::path file = model_ / "model.safetensors";
  std::string bytes = read_file(file);
  uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  const Json header = Json::parse(bytes.substr(8, header_size));
  for (const auto& [name, tensor] : header.items()) {
    if (!name.ends_with("model.norm.weight")) continue;
    const size_t begin = tensor["data_offsets"][0], end = tensor["data_offsets"][1];
    bytes.replace(8 + header_size + begin, end - begin, std::string(end - begin, '\xff'));
  }
  write_file(file, bytes);
  start();
  expect_internal(client().Post("/v1/embeddings", R"({"input": "a"})", "application/json"),
                  "no numbers");
}

}  // namespace
}  // namespace e5v::detail
