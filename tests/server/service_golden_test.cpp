#include "e5v/server/service.h"

#include <gmock/gmock.h>

#include <atomic>

#include "tests/server/service_fixture.h"

namespace e5v {
namespace {

using testing::HasSubstr;

class ServiceGoldenTest : public ServiceFixture {};

TEST_F(ServiceGoldenTest, AllShapesGiveTheVectorsOfTheEmbedder) {
  start();
  const std::string image = image_base64();
  Item text, composed = image_item();
  text.text = "a dog";
  composed.text = "at night";
  composed.task = "cirr";
  const auto text_vector = expected_vector(text), image_vector = expected_vector(image_item()),
             composed_vector = expected_vector(composed);

  Json answer = post("/v1/embeddings", {{"input", "a dog"}, {"model", "x"}});
  expect_near(answer["data"][0]["embedding"], text_vector);
  EXPECT_EQ(answer["model"], "x");
  EXPECT_GT(answer["usage"]["prompt_tokens"], 0);
  answer =
      post("/v1/embeddings",
           {{"input",
             {{{"text", "a dog"}}, {{"image", image}}, {{"text", "at night"}, {"image", image}}}}});
  expect_near(answer["data"][0]["embedding"], text_vector);
  expect_near(answer["data"][1]["embedding"], image_vector);
  expect_near(answer["data"][2]["embedding"], composed_vector);
  const Json parts = {
      {{"type", "image_url"}, {"image_url", {{"url", "data:image/png;base64," + image}}}},
      {{"type", "text"}, {"text", "at night"}}};
  answer = post("/v1/embeddings", {{"messages", {{{"role", "user"}, {"content", parts}}}}});
  expect_near(answer["data"][0]["embedding"], composed_vector);
  answer = post("/v2/embed", {{"texts", {"a dog"}}, {"embedding_types", {"float", "ubinary"}}});
  expect_near(answer["embeddings"]["float"][0], text_vector);
  EXPECT_EQ(answer["embeddings"]["ubinary"][0].size(), text_vector.size() / 8);
  answer = post("/v1/multimodalembeddings", {{"inputs", {{{"content", parts}}}}});
  expect_near(answer["data"][0]["embedding"], composed_vector);
  answer = post("/embeddings", {{"modality", "image"}, {"input", {image}}});
  expect_near(answer["data"][0]["embedding"], image_vector);
}

TEST_F(ServiceGoldenTest, TokenIdsAreTheTextTheyStandFor) {
  start();
  const Embedder embedder({.model = kModel, .device = "cpu", .threads = 1});
  const std::vector<TextSpan> text = {{"a dog", false}};
  const auto ids = embedder.preparer().tokenizer().encode(text, /*add_special_tokens=*/false);
  const Json answer = post("/v1/embeddings", {{"input", Json(ids)}});
  Item item;
  item.text = "a dog";
  expect_near(answer["data"][0]["embedding"], expected_vector(item));
  post("/v1/embeddings", {{"input", {2'000'000'000}}}, 400);
}

TEST_F(ServiceGoldenTest, PromptsAndDimensionsAreTheRequests) {
  start();
  Item item;
  item.text = "a dog";
  item.task = "sts";
  expect_near(
      post("/v1/embeddings", {{"input", "a dog"}, {"prompt_name", "sts"}})["data"][0]["embedding"],
      expected_vector(item));
  EXPECT_EQ(post("/v1/embeddings", {{"input", "a dog"}, {"dimensions", 5}})["data"][0]["embedding"]
                .size(),
            5u);
  post("/v1/embeddings", {{"input", "a dog"}, {"dimensions", 4096}}, 400);
  post("/v1/embeddings", {{"input", "a dog"}, {"prompt_name", "sing"}}, 400);
  post("/v1/embeddings", {{"input", "a dog"}, {"instruction", "What is it, in one word?"}});
}

TEST_F(ServiceGoldenTest, DocumentsAreAddedFoundShownAndDeleted) {
  start();
  const std::string image = image_base64();
  Json answer =
      post("/v1/index", {{"documents",
                          {{{"id", "note"}, {"text", "a dog"}, {"metadata", {{"year", 2020}}}},
                           {{"id", "picture.png"}, {"image", image}, {"caption", "gray"}}}}});
  EXPECT_EQ(answer["items"], 2);
  answer = post("/v1/search", {{"text", "a dog"}, {"k", 1}});
  EXPECT_EQ(answer["results"][0]["path"], "note");
  EXPECT_NEAR(answer["results"][0]["score"].get<double>(), 1, 1e-5);
  answer = post("/v1/search", {{"image", image}});
  EXPECT_EQ(answer["results"][0]["path"], "picture.png");
  const std::string path = answer["results"][0]["image"];
  const auto picture = client().Get(path.c_str());
  ASSERT_TRUE(picture);
  EXPECT_EQ(picture->get_header_value("Content-Type"), "image/png");
  EXPECT_EQ(picture->body, read_file(kModel / "images" / "gray_40x60.png"));
  EXPECT_EQ(post("/v1/search", {{"item", 2}, {"k", 1}})["results"][0]["id"], 2);
  EXPECT_EQ(post("/v1/search", {{"item", 2}, {"text", "at night"}})["results"].size(), 2u);
  EXPECT_EQ(post("/v1/search", {{"text", "x"}, {"where", "meta.year = 2020"}})["results"].size(),
            1u);
  EXPECT_EQ(post("/v1/search", {{"text", "x"}, {"minus", {"a dog"}}})["results"].size(), 2u);
  post("/v1/search", {{"text", "x"}, {"where", "1=1"}}, 400);
  post("/v1/search", {{"text", "x"}, {"k", 100'000}}, 400);
  post("/v1/search", {{"item", 99}}, 400);
  post("/v1/search", Json::object(), 400);
  post("/v1/index", {{"documents", {{{"id", "/etc/passwd"}, {"text", "a"}}}}}, 400);
  EXPECT_EQ(post("/v1/index", {{"delete", {1}}})["items"], 1);
}

TEST_F(ServiceGoldenTest, HealthModelsMetricsAndThePageAreThere) {
  start();
  EXPECT_EQ(client().Get("/health")->status, 200);
  EXPECT_EQ(Json::parse(client().Get("/v1/models")->body)["data"][0]["id"], "end_to_end_tiny");
  post("/v1/embeddings", {{"input", "a"}});
  const std::string metrics = client().Get("/metrics")->body;
  EXPECT_THAT(metrics, HasSubstr("e5v_requests_total{path=\"/v1/embeddings\",status=\"200\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("e5v_items_total 1"));
  EXPECT_THAT(client().Get("/")->body, HasSubstr("<title>e5v</title>"));
  EXPECT_THAT(client().Get("/")->get_header_value("Content-Security-Policy"),
              HasSubstr("default-src 'none'"));
  EXPECT_TRUE(Json::accept(client().Get("/openapi.json")->body));
  EXPECT_EQ(client().Get("/nothing")->status, 404);
  EXPECT_EQ(client().Get("/v1/embeddings")->status, 405);
}

TEST_F(ServiceGoldenTest, Answers503UntilTheModelIsThere) {
  start({}, /*load=*/false);
  EXPECT_EQ(client().Get("/health")->status, 503);
  EXPECT_EQ(status_of(R"({"input": "a"})"), 503);
  EXPECT_EQ(client().Get("/")->status, 200);
  load_model();
  EXPECT_EQ(client().Get("/health")->status, 200);
}

TEST_F(ServiceGoldenTest, StoppingFinishesWhatWasAccepted) {
  start();
  Json body = {{"input", Json::array()}};
  for (int i = 0; i < 500; ++i) body["input"].push_back("item number " + std::to_string(i));
  std::atomic<int> status = 0;
  std::thread sender([&] { status = status_of(body.dump()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  server_->stop();
  thread_.join();
  sender.join();
  EXPECT_EQ(status, 200);
}

}  // namespace
}  // namespace e5v
