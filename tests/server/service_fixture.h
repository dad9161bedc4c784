#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <spdlog/sinks/ostream_sink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "e5v/base/base64.h"
#include "e5v/base/file.h"
#include "e5v/families/load_model.h"
#include "e5v/search/collection_embedder.h"
#include "e5v/server/service.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {

inline const std::filesystem::path kModel =
    std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens/end_to_end_tiny";

/// A connection to say anything on.
class RawConnection {
 public:
  explicit RawConnection(int port, int receive_buffer = 0)
      : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) {
      ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
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
class ServiceFixture : public testing::Test {
 protected:
  void start(ServeOptions options = {}, bool load = true, size_t max_total_body_bytes = 64 << 20) {
    options.port = 0;
    service_ = std::make_unique<Service>(options, log_, table_);
    HttpServerOptions http = options.http();
    http.read_timeout_s = 1;
    http.keep_alive_s = 1;
    http.max_body_bytes = 1 << 20;
    http.max_total_body_bytes = max_total_body_bytes;
    http.max_connections = 32;
    server_ = std::make_unique<HttpServer>(
        http, [this](const HttpCall& call) { return service_->gate(call); },
        [this](const HttpCall& call) { return service_->handle(call); }, &Service::refusal);
    port_ = server_->bind();
    thread_ = std::thread([this] { server_->run(); });
    if (load) load_model();
  }
  void load_model() {
    EmbedderOptions options{.model = model_, .device = "cpu", .threads = 1};
    options.prepare.task = task_;
    Collection::create(folder_ / "c", collection_settings(options, {}));
    service_->start(std::make_unique<Embedder>(options),
                    std::make_unique<Collection>(folder_ / "c"));
  }
  ~ServiceFixture() override {
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

  /// What the server has logged.
  std::string log_text() {
    log_.flush();
    return log_stream_.str();
  }

  const TemporaryFolder folder_;
  /// What is served, if it is set before `start`.
  std::filesystem::path model_ = kModel;
  std::string task_ = "retrieval";
  std::span<const Route> table_ = routes();
  std::ostringstream log_stream_;
  Logger log_{"server", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_stream_)};
  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
  int port_ = 0;
};

}  // namespace e5v::detail
