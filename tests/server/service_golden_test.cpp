#include "e5v/families/load_model.h"
#include "e5v/server/service.h"

#include <gmock/gmock.h>

#include <atomic>

#include "e5v/embed/embedding_spec.h"
#include "tests/server/service_fixture.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;
using testing::Not;

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
  post("/v1/embeddings", {{"input", "a dog"}, {"dimensions", 0}}, 400);
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
  post("/v1/search", {{"item", 2}, {"image", image}}, 400);
  post("/v1/search", {{"text", "x"}, {"top_k", 1}}, 400);
  post("/v1/index", {{"documents", {{{"id", "a"}, {"text", "a"}, {"tags", "b"}}}}}, 400);
  post("/v1/search", Json::object(), 400);
  post("/v1/index", {{"documents", {{{"id", "/etc/passwd"}, {"text", "a"}}}}}, 400);
  EXPECT_EQ(post("/v1/index", {{"delete", {1}}})["items"], 1);
}

TEST_F(ServiceGoldenTest, HealthModelsMetricsAndThePageAreThere) {
  start();
  EXPECT_EQ(client().Get("/health")->status, 200);
  post("/v1/embeddings", {{"input", "a"}});
  const std::string metrics = client().Get("/metrics")->body;
  EXPECT_THAT(metrics, HasSubstr("e5v_requests_total{path=\"/v1/embeddings\",status=\"200\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("e5v_items_total 1"));
  EXPECT_THAT(client().Get("/")->body, HasSubstr("<title>e5v</title>"));
  EXPECT_THAT(client().Get("/")->get_header_value("Content-Security-Policy"),
              HasSubstr("default-src 'none'"));
}

TEST_F(ServiceGoldenTest, AnUnknownAddressIsToldTheKnownOnes) {
  start();
  const auto unknown = client().Get("/nothing");
  EXPECT_EQ(unknown->status, 404);
  const std::string message = Json::parse(unknown->body)["error"]["message"];
  EXPECT_THAT(message, HasSubstr("there is no GET /nothing"));
  for (const Route& route : routes()) {
    EXPECT_THAT(message, HasSubstr(std::string(route.method) + " " + std::string(route.path)));
  }
  const auto wrong_method = client().Get("/v1/embeddings");
  EXPECT_EQ(wrong_method->status, 405);
  EXPECT_EQ(wrong_method->get_header_value("Allow"), "POST");
  EXPECT_EQ(status_of("{}", "/v1/models"), 405);
  EXPECT_THAT(client().Get("/metrics")->body, HasSubstr("path=\"other\",status=\"404\"} 1"));
}

TEST_F(ServiceGoldenTest, TheModelIsListedAndFoundByItsName) {
  start();
  const Json list = Json::parse(client().Get("/v1/models")->body);
  EXPECT_EQ(list["object"], "list");
  const Json& model = list["data"][0];
  EXPECT_EQ(model["id"], "end_to_end_tiny");
  EXPECT_TRUE(model["created"].is_number_integer());
  // The identity that a collection made with it has, without the folders of this machine.
  const EmbedderOptions options{.model = kModel, .device = "cpu"};
  const EmbeddingSpec spec = EmbeddingSpec::of(options);
  EXPECT_EQ(model["embedding_spec"], spec.compared_json());
  EXPECT_EQ(model["embedding_spec_hash"], spec.hash());
  EXPECT_THAT(model.dump(), Not(HasSubstr(kModel.parent_path().native())));
  EXPECT_EQ(Json::parse(client().Get("/v1/models/end_to_end_tiny")->body), model);
  const auto other = client().Get("/v1/models/other");
  EXPECT_EQ(other->status, 404);
  EXPECT_EQ(Json::parse(other->body)["error"]["code"], "model_not_found");
}

TEST_F(ServiceGoldenTest, APictureChangedByWordsIsAskedAboutAlikeEverywhere) {
  task_ = "fashioniq-dress";
  start();
  const std::string image = image_base64();
  Item composed = image_item();
  composed.text = "at night";
  composed.task = "fashioniq-dress";
  const std::vector<float> expected = expected_vector(composed);
  const Json one = {{"text", "at night"}, {"image", image}};
  expect_near(post("/v1/embeddings", {{"input", {one}}})["data"][0]["embedding"], expected);
  Json document = one;
  document["id"] = "a";
  post("/v1/index", {{"documents", {document}}});
  expect_near(Json(Collection(folder_ / "c").find_vector(1)), expected);
  // The same query meets the same vector.
  EXPECT_NEAR(post("/v1/search", one)["results"][0]["score"].get<double>(), 1, 1e-5);
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
  while (client().Get("/metrics")->body.find("e5v_waiting_items 500") == std::string::npos) {
    if (status != 0) break;  // done already
    std::this_thread::yield();
  }
  server_->stop();
  thread_.join();
  sender.join();
  EXPECT_EQ(status, 200);
}

}  // namespace
}  // namespace e5v::detail
