// What people send who mean no good, or do not know better.
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>

#include "tests/server/service_fixture.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class HostileClientsGoldenTest : public ServiceFixture {};

TEST_F(HostileClientsGoldenTest, BadRequestsAreAnsweredInOpenAisForm) {
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

TEST_F(HostileClientsGoldenTest, APictureOfTooManyPixelsIsRefusedByItsHeader) {
  start({.max_megapixels = 1});
  std::string png = read_file(kModel / "images" / "gray_40x60.png");
  // 30,000 x 30,000 pixels, as its header says; the checksum is not looked at before the size.
  for (const size_t at : {18, 22}) png[at] = 0x75, png[at + 1] = 0x30;
  const std::string data = encode_base64(std::as_bytes(std::span(png)));
  EXPECT_EQ(status_of(Json({{"input", {{{"image", data}}}}}).dump()), 400);
}

TEST_F(HostileClientsGoldenTest, LongBodiesAreRefusedBeforeTheyAreRead) {
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

TEST_F(HostileClientsGoldenTest, AmbiguousLengthsAndCompressedBodiesAreRefused) {
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
  EXPECT_THAT(smuggled.receive(), Not(HasSubstr("e5v_requests_total")));
}

TEST_F(HostileClientsGoldenTest, WhoSendsSlowlyIsCutOffAndKeepsNobodyOut) {
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

TEST_F(HostileClientsGoldenTest, TheKeyIsWantedForAllButThePage) {
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

TEST_F(HostileClientsGoldenTest, OtherSitesPagesMayNotAskUnlessAllowed) {
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

TEST_F(HostileClientsGoldenTest, OnlyPicturesOfItemsAreServed) {
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

/// Sends `request` and returns all that comes back.
std::string raw_answer(int port, const std::string& request) {
  RawConnection connection(port);
  connection.send(request);
  return connection.receive();
}

TEST_F(HostileClientsGoldenTest, EveryAddressAnswersWrongTypesAndHugeNumbersWith400) {
  start();
  const std::vector<std::pair<const char*, std::vector<const char*>>> bodies = {
      {"/v1/embeddings",
       {R"([])", R"("a")", R"(null)", R"({"input": {}})", R"({"input": [[]]})",
        R"({"input": [null]})", R"({"input": [-1]})", R"({"input": [18446744073709551616]})",
        R"({"input": [1.5]})", R"({"input": "a", "dimensions": 99999999999999999999})",
        R"({"input": "a", "dimensions": -1})", R"({"input": "a", "dimensions": 1e308})",
        R"({"input": "a", "dimensions": "8"})", R"({"input": "a", "encoding_format": 7})",
        R"({"input": "a", "prompt_name": []})", R"({"messages": [{"role": 1}]})",
        R"({"messages": {"role": "user"}})", R"({"input": [{"image": {"url": 5}}]})"}},
      {"/v2/embed",
       {R"({"texts": "a"})", R"({"texts": [1]})", R"({"texts": []})",
        R"({"texts": ["a"], "output_dimension": 1e30})",
        R"({"texts": ["a"], "embedding_types": [[]]})", R"({"images": [{}]})",
        R"({"inputs": [{"content": {"type": "text"}}]})"}},
      {"/v1/multimodalembeddings",
       {R"({"inputs": {}})", R"({"inputs": [[]]})", R"({"inputs": [{"content": [{"type": {}}]}]})",
        R"({"inputs": [{"content": [{"type": "image_url", "image_url": 3}]}]})",
        R"({"inputs": ["a"], "truncation": "yes"})"}},
      {"/embeddings",
       {R"({"modality": 5, "input": "a"})", R"({"modality": "image", "input": 5})",
        R"({"modality": "image"})"}},
      {"/v1/search",
       {R"([])", R"({"text": 5})", R"({"text": "a", "k": 0})", R"({"text": "a", "k": -1})",
        R"({"text": "a", "k": 1e300})", R"({"text": "a", "k": 99999999999999999999})",
        R"({"text": "a", "weight": "x"})", R"({"text": "a", "weight": 1e999})",
        R"({"text": "a", "min_score": []})", R"({"text": "a", "where": 5})",
        R"({"text": "a", "where": "path = '"})", R"({"item": "1"})", R"({"item": 1e18})",
        R"({"text": "a", "plus": "b"})", R"({"text": "a", "plus": [[]]})", R"({"image": "?"})"}},
      {"/v1/index",
       {R"({"documents": {}})", R"({"documents": [5]})",
        R"({"documents": [{"id": 5, "text": "a"}]})", R"({"documents": [{"id": "a"}]})",
        R"({"documents": [{"id": "a", "text": "b", "metadata": 5}]})",
        R"({"documents": [{"id": "a", "text": []}]})", R"({"delete": ["1"]})", R"({"delete": 1})",
        R"({"delete": [1e300]})"}},
  };
  for (const auto& [path, list] : bodies) {
    for (const char* body : list) {
      const auto answer = client().Post(path, body, "application/json");
      ASSERT_TRUE(answer) << path << ' ' << body;
      EXPECT_EQ(answer->status, 400) << path << ' ' << body << ' ' << answer->body;
      EXPECT_NE(Json::parse(answer->body)["error"]["message"], "") << body;
    }
    for (const std::string& body :
         {std::string(150'000, '['), std::string("{\"a\":") + std::string(50'000, '['),
          std::string("\x00\x01", 2), std::string("{\"input\": \"a\"")}) {
      EXPECT_EQ(status_of(body, path), 400) << path;
    }
    // Deep, but well-formed.
    std::string deep = "1";
    for (int i = 0; i < 1000; ++i) deep = "{\"input\":[" + deep + "]}";
    EXPECT_EQ(status_of(deep, path), 400) << path;
  }
  EXPECT_EQ(status_of(R"({"input": "still here"})"), 200);
}

TEST_F(HostileClientsGoldenTest, ABodyOfMillionsOfValuesIsNotParsed) {
  start();
  HttpCall call{.method = "POST",
                .path = "/v1/embeddings",
                .query = {},
                .body = "[0" + std::string(9'000'000, ',') + "0]",
                .remote_address = "",
                .header = [](const char*) { return std::string(); },
                .client_gone = [] { return false; }};
  const HttpAnswer answer = service_->handle(call);
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("values"));
}

TEST_F(HostileClientsGoldenTest, LongBodiesOfManyClientsDoNotFillTheMemory) {
  start({}, true, /*max_total_body_bytes=*/64 << 10);
  // Each is allowed by itself, and all but its end arrives; together they are too much.
  std::vector<std::unique_ptr<RawConnection>> held;
  for (int i = 0; i < 3; ++i) {
    held.push_back(std::make_unique<RawConnection>(port_));
    held.back()->send(
        "POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40000\r\n\r\n" +
        std::string(30'000, ' '));
  }
  int num_refused = 0;
  for (auto& connection : held) {
    num_refused += connection->receive().find(" 503 ") != std::string::npos;
  }
  EXPECT_GE(num_refused, 1);
  EXPECT_LT(num_refused, 3);
  // Whoever was cut off has given its place back.
  EXPECT_EQ(status_of(std::string(40'000, ' ') + R"({"input": "a"})"), 200);
}

TEST_F(HostileClientsGoldenTest, ABodyThatTricklesInIsCutOff) {
  start();
  RawConnection slow(port_);
  slow.send("POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{");
  bool cut = false;
  for (int i = 0; i < 60 && !cut; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cut = !slow.send(" ");
  }
  EXPECT_TRUE(cut);
}

TEST_F(HostileClientsGoldenTest, WhoDoesNotReadTheAnswerIsLetGo) {
  start();
  Json body = {{"input", Json::array()}};
  for (int i = 0; i < 2000; ++i) body["input"].push_back("a");
  const std::string text = body.dump();
  RawConnection deaf(port_, /*receive_buffer=*/4096);
  deaf.send("POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
            std::to_string(text.size()) + "\r\n\r\n" + text);
  // The answer has megabytes. The server ends, though nobody takes them.
  std::this_thread::sleep_for(std::chrono::seconds(4));
  const auto start = std::chrono::steady_clock::now();
  server_->stop();
  thread_.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST_F(HostileClientsGoldenTest, NoHeaderOfTheAnswerCanBeMadeUp) {
  start({.allow_origins = {"*"}});
  for (const std::string request :
       {"GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a\nX-Evil: 1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a%0d%0aX-Evil:%201\r\n\r\n",
        "GET /v1/items/1%0d%0aX-Evil:%201/image HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /health?a=%0d%0aX-Evil:%201 HTTP/1.1\r\nHost: localhost\r\n\r\n"}) {
    const std::string answer = raw_answer(port_, request);
    EXPECT_THAT(answer.substr(0, answer.find("\r\n\r\n")), Not(HasSubstr("\nX-Evil"))) << request;
  }
}

TEST_F(HostileClientsGoldenTest, AWrongKeyTakesAsLongWhereverItIsWrong) {
  // A comparison that stops at the first difference would take a thousandth of the time.
  const std::string key(1 << 20, 'k');
  start({.api_key = key}, /*load=*/false);
  const auto least_time = [&](size_t wrong_at) {
    std::string given = key;
    given[wrong_at] = 'x';
    const HttpCall call{.method = "GET",
                        .path = "/metrics",
                        .query = {},
                        .body = {},
                        .remote_address = "",
                        .header =
                            [&](const char* name) {
                              return std::string(name) == "Host"        ? std::string("localhost")
                                     : std::string(name) == "X-API-Key" ? given
                                                                        : std::string();
                            },
                        .client_gone = [] { return false; }};
    auto least = std::chrono::steady_clock::duration::max();
    for (int i = 0; i < 20; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      const auto answer = service_->gate(call);
      least = std::min(least, std::chrono::steady_clock::now() - begin);
      EXPECT_TRUE(answer && answer->status == 401);
    }
    return std::chrono::duration<double>(least).count();
  };
  const double first = least_time(0), last = least_time(key.size() - 1);
  EXPECT_LT(last, 3 * first);
  EXPECT_LT(first, 3 * last);
}

TEST_F(HostileClientsGoldenTest, AddressesOfThisMachineAreNotFetched) {
  start({.allow_remote_images = {"localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1"}});
  const std::string port = std::to_string(port_);
  for (const char* host :
       {"localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1", "LOCALHOST"}) {
    const std::string url = std::string("http://") + host + ":" + port + "/v1/items/1/image";
    const Json answer = post("/v1/embeddings", {{"input", {{{"image", url}}}}}, 400);
    EXPECT_THAT(answer["error"]["message"].get<std::string>(), HasSubstr("public address")) << url;
  }
  for (const char* url : {"http://example.org/a.png", "http://localhost@example.org/",
                          "http://localhost.example.org/", "http://[::ffff:127.0.0.1]/"}) {
    const Json answer = post("/v1/embeddings", {{"input", {{{"image", url}}}}}, 400);
    EXPECT_THAT(answer["error"]["message"].get<std::string>(),
                testing::AnyOf(HasSubstr("not fetched from"), HasSubstr("not a URL")))
        << url;
  }
  for (const char* url : {"file:///etc/passwd", "ftp://localhost/a.png", "gopher://localhost/"}) {
    post("/v1/embeddings", {{"input", {{{"image", url}}}}}, 400);
  }
}

TEST_F(HostileClientsGoldenTest, PicturesThatUnpackToTooMuchAreRefused) {
  start({.max_megapixels = 1});
  const fs::path files = fs::path(E5V_SOURCE_DIR) / "tests/goldens/image_decode/files";
  // The size in the header, as each format writes it: 30,000 x 30,000.
  const auto sized = [&](const char* name, std::vector<std::pair<size_t, std::string>> patches) {
    std::string bytes = read_file(files / name);
    for (const auto& [at, patch] : patches) bytes.replace(at, patch.size(), patch);
    return bytes;
  };
  std::string jpeg = read_file(files / "gray.jpg");
  jpeg.replace(jpeg.find("\xff\xc0") + 5, 4, "\x75\x30\x75\x30");
  const std::vector<std::pair<const char*, std::string>> bombs = {
      {"jpeg", jpeg},
      {"gif", sized("plain.gif", {{6, "\x30\x75\x30\x75"}})},
      {"bmp", sized("rgb.bmp", {{18, std::string("\x30\x75\0\0\x30\x75\0\0", 8)}})},
      {"webp", sized("lossy.webp", {{26, "\x30\x75\x30\x75"}})},
  };
  for (const auto& [name, bytes] : bombs) {
    const std::string data = encode_base64(std::as_bytes(std::span(bytes)));
    const Json answer = post("/v1/embeddings", {{"input", {{{"image", data}}}}}, 400);
    EXPECT_THAT(answer["error"]["message"].get<std::string>(), HasSubstr("pixels")) << name;
  }
}

}  // namespace
}  // namespace e5v::detail
