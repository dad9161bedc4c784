#include "e5v/server/service.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>

#include "e5v/base/file.h"
#include "e5v/hub/digest.h"
#include "e5v/server/base64.h"
#include "tests/support/temporary_folder.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kModel = fs::path(E5V_SOURCE_DIR) / "tests/goldens/end_to_end_tiny";

/// A connection to say anything on.
class RawConnection {
 public:
  explicit RawConnection(int port) : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ =
        ::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawConnection() { ::close(descriptor_); }
  bool send(const std::string& text) {
    return connected_ && ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL) ==
                             static_cast<ssize_t>(text.size());
  }
  /// What comes until the other side closes.
  std::string receive() {
    std::string all;
    std::array<char, 4096> buffer{};
    ssize_t count = 0;
    while ((count = ::recv(descriptor_, buffer.data(), buffer.size(), 0)) > 0) {
      all.append(buffer.data(), static_cast<size_t>(count));
    }
    return all;
  }

 private:
  int descriptor_;
  bool connected_ = false;
};

/// A server with the golden model and a small collection, on a port of its own.
class ServiceGoldenTest : public testing::Test {
 protected:
  void start(ServeOptions options = {}, bool load = true) {
    options.port = 0;
    service_ = std::make_unique<Service>(options, silent_logger());
    HttpServerOptions http = options.http();
    http.read_timeout_s = 1;
    http.keep_alive_s = 1;
    http.max_body_bytes = 1 << 20;
    http.max_connections = 32;
    server_ = std::make_unique<HttpServer>(
        http, [this](const HttpCall& call) { return service_->gate(call); },
        [this](const HttpCall& call) { return service_->handle(call); }, &Service::refusal);
    port_ = server_->bind();
    thread_ = std::thread([this] { server_->run(); });
    if (load) load_model();
  }
  void load_model() {
    EmbedderOptions options{.model = kModel, .device = "cpu", .threads = 1};
    Collection::create(folder_ / "c", collection_settings(options, IndexKind::kAuto));
    service_->start(std::make_unique<Embedder>(options),
                    std::make_unique<Collection>(folder_ / "c"));
  }
  ~ServiceGoldenTest() override {
    if (server_) server_->stop();
    if (thread_.joinable()) thread_.join();
  }

  httplib::Client client() const {
    httplib::Client client("127.0.0.1", port_);
    client.set_read_timeout(20);
    return client;
  }
  Json post(const std::string& path, const Json& body, int expected_status = 200) const {
    const auto result = client().Post(path.c_str(), body.dump(), "application/json");
    if (!result) return "no answer";
    EXPECT_EQ(result->status, expected_status) << result->body;
    return Json::parse(result->body, nullptr, false);
  }
  int status_of(const std::string& body, const std::string& path = "/v1/embeddings") const {
    const auto result = client().Post(path.c_str(), body, "application/json");
    return result ? result->status : -1;
  }
  static std::string image_base64(const char* name = "gray_40x60.png") {
    const std::string bytes = read_file(kModel / "images" / name);
    return encode_base64(std::as_bytes(std::span(bytes)));
  }
  static void expect_near(const Json& got, const std::vector<float>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(got[i].get<double>(), expected[i], 1e-5);
  }
  static std::vector<float> expected_vector(const Item& item) {
    static const Embedder embedder({.model = kModel, .device = "cpu", .threads = 1});
    return embedder.embed(std::span(&item, 1))[0];
  }
  static Item image_item() {
    Item item;
    item.images.emplace_back(kModel / "images" / "gray_40x60.png");
    return item;
  }

  const TemporaryFolder folder_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
  int port_ = 0;
};

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

TEST_F(ServiceGoldenTest, BadRequestsAreAnsweredInOpenAisForm) {
  start();
  const Json answer = post("/v1/embeddings", {{"input", 5}}, 400);
  EXPECT_THAT(answer["error"]["message"].get<std::string>(), HasSubstr("'input' is 5"));
  EXPECT_EQ(answer["error"]["type"], "invalid_request_error");
  EXPECT_EQ(status_of("{"), 400);
  EXPECT_EQ(status_of(""), 400);
  EXPECT_EQ(status_of("\xff\xfe"), 400);
  EXPECT_EQ(status_of(std::string(100'000, '[')), 400);
  EXPECT_EQ(status_of(R"({"input": "\ud800"})"), 400);
  EXPECT_EQ(status_of(R"({"input": 1e999})"), 400);
  EXPECT_EQ(status_of(R"({"input": ""})"), 400);
  EXPECT_EQ(status_of(R"({"input": [{"image": "not base64!"}]})"), 400);
  EXPECT_EQ(status_of(R"({"input": [{"image": "http://127.0.0.1/a.png"}]})"), 400);
  // SVG and HTML that call themselves pictures.
  for (const std::string content : {"<svg xmlns='http://www.w3.org/2000/svg'/>", "<html></html>"}) {
    const std::string data = encode_base64(std::as_bytes(std::span(content)));
    EXPECT_EQ(status_of(Json({{"input", {{{"image", "data:image/png;base64," + data}}}}}).dump()),
              400);
  }
}

TEST_F(ServiceGoldenTest, APictureOfTooManyPixelsIsRefusedByItsHeader) {
  start({.max_megapixels = 1});
  std::string png = read_file(kModel / "images" / "gray_40x60.png");
  // 30,000 x 30,000 pixels, as its header says; the checksum is not looked at before the size.
  for (const size_t at : {18, 22}) png[at] = 0x75, png[at + 1] = 0x30;
  const std::string data = encode_base64(std::as_bytes(std::span(png)));
  EXPECT_EQ(status_of(Json({{"input", {{{"image", data}}}}}).dump()), 400);
}

TEST_F(ServiceGoldenTest, LongBodiesAreRefusedBeforeTheyAreRead) {
  start();
  RawConnection declared(port_);
  declared.send(
      "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\n");
  EXPECT_THAT(declared.receive(), HasSubstr(" 413 "));
  RawConnection chunked(port_);
  chunked.send(
      "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(65536, 'x') + "\r\n";
  for (int i = 0; i < 64 && chunked.send(chunk); ++i) {
  }
  EXPECT_EQ(status_of(R"({"input": "still here"})"), 200);
  RawConnection overflow(port_);
  overflow.send(
      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n");
  EXPECT_THAT(overflow.receive(), HasSubstr(" 413 "));
}

TEST_F(ServiceGoldenTest, AmbiguousLengthsAndCompressedBodiesAreRefused) {
  start();
  for (const char* headers :
       {"Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: -1\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Encoding: gzip\r\nContent-Length: 5\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5\r\n"}) {
    RawConnection connection(port_);
    connection.send(std::string("POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\n") + headers +
                    "\r\nabcde");
    EXPECT_THAT(connection.receive(), HasSubstr(" 4")) << headers;
  }
  RawConnection smuggled(port_);
  smuggled.send(
      "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 38\r\n\r\n"
      "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(smuggled.receive(), testing::Not(HasSubstr("e5v_requests_total")));
}

TEST_F(ServiceGoldenTest, WhoSendsSlowlyIsCutOffAndKeepsNobodyOut) {
  start();
  std::vector<std::unique_ptr<RawConnection>> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(std::make_unique<RawConnection>(port_));
    slow.back()->send("POST /v1/embeddings HTTP/1.1\r\nX-A: ");
  }
  EXPECT_EQ(status_of(R"({"input": "a"})"), 200);
  bool all_cut = false;
  for (int round = 0; round < 60 && !all_cut; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    all_cut = true;
    for (auto& connection : slow) all_cut &= !connection->send("a");
  }
  EXPECT_TRUE(all_cut);
}

TEST_F(ServiceGoldenTest, TheKeyIsWantedForAllButThePage) {
  start({.api_key = "secret"});
  EXPECT_EQ(client().Get("/")->status, 200);
  EXPECT_EQ(client().Get("/health")->status, 200);
  EXPECT_EQ(client().Get("/metrics")->status, 401);
  EXPECT_EQ(status_of(R"({"input": "a"})"), 401);
  const auto with_key = [&](const char* name, const char* value) {
    return client()
        .Post("/v1/embeddings", {{name, value}}, R"({"input": "a"})", "application/json")
        ->status;
  };
  EXPECT_EQ(with_key("Authorization", "Bearer secret"), 200);
  EXPECT_EQ(with_key("X-API-Key", "secret"), 200);
  EXPECT_EQ(with_key("Authorization", "Bearer secre"), 401);
  EXPECT_EQ(with_key("Authorization", "Bearer secrets"), 401);
  EXPECT_EQ(with_key("Authorization", "Bearer "), 401);
}

TEST_F(ServiceGoldenTest, OtherSitesPagesMayNotAskUnlessAllowed) {
  start({.allow_origins = {"https://good.example"}});
  const auto from = [&](const char* name, const char* value) {
    return client().Post("/v1/embeddings", {{name, value}}, R"({"input": "a"})",
                         "application/json");
  };
  EXPECT_EQ(from("Origin", "https://evil.example")->status, 403);
  EXPECT_EQ(from("Origin", "https://good.example")->status, 200);
  EXPECT_EQ(from("Origin", "https://good.example")->get_header_value("Access-Control-Allow-Origin"),
            "https://good.example");
  // A name that somebody made resolve to this machine.
  EXPECT_EQ(from("Host", "evil.example")->status, 403);
}

TEST_F(ServiceGoldenTest, OnlyPicturesOfItemsAreServed) {
  start();
  post("/v1/index", {{"documents", {{{"id", "note"}, {"text", "a"}}}}});
  for (const char* path :
       {"/v1/items/1/image", "/v1/items/../../etc/passwd", "/v1/items/1/../../image",
        "/v1/items/%2e%2e/image", "/v1/items/99999999999999999999/image", "/v1/items/-1/image",
        "/../etc/passwd", "/v1/items//image"}) {
    const auto result = client().Get(path);
    EXPECT_TRUE(!result || result->status == 404) << path;
  }
  // A file that is no picture any more is not served either.
  const fs::path file = folder_ / "a.png";
  write_file(file, "<script>alert(1)</script>");
  Collection collection(folder_ / "c");
  std::vector<float> vector(collection.settings().dimensions, 0);
  vector[0] = 1;
  collection.apply(
      {.added = {{.item = {.kind = "image", .path = file.native(), .mtime_ns = 1, .hash = "x"},
                  .vector = vector}}});
  EXPECT_EQ(client().Get("/v1/items/2/image")->status, 404);
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
