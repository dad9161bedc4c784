#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace e5v::detail {

/// One HTTP request as handlers see it.
struct HttpCall {
  std::string method;
  std::string path;  ///< decoded, without the query
  std::multimap<std::string, std::string> query;
  std::string body;
  std::string remote_address;
  /// A header's value, names in any case; "" where it is absent.
  std::function<std::string(const char* name)> header;
  /// True once the client has closed the connection.
  std::function<bool()> client_gone;
};

struct HttpAnswer {
  int status = 200;
  std::string content_type;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  ///< 0: any that is free
  size_t max_body_bytes = 64 << 20;
  /// Bytes of all bodies together that are in memory at a time; who comes then is answered with
  /// 503.
  size_t max_total_body_bytes = 256 << 20;
  /// Connections that are served at a time; others wait to be accepted.
  size_t max_connections = 256;
  /// A request must arrive within this and at 16 KiB/s after it.
  int read_timeout_s = 15;
  int keep_alive_s = 5;
};

/// HTTP/1.1 by cpp-httplib, with deadlines for whole requests: whoever sends a byte every few
/// seconds is cut off. A connection on which anything went wrong is closed, so that a body that was
/// not read is never taken for a request.
class HttpServer {
 public:
  /// Asked before a body is read: an answer ends the request there.
  using Gate = std::function<std::optional<HttpAnswer>(const HttpCall&)>;
  using Handler = std::function<HttpAnswer(const HttpCall&)>;
  /// Answers what this class itself refuses.
  using Refusal = std::function<HttpAnswer(int status, const std::string& message)>;

  HttpServer(HttpServerOptions options, Gate gate, Handler handler, Refusal refusal);
  ~HttpServer();

  /// Begins to listen; returns the port. Throws FileError if the address cannot be had.
  int bind();
  /// Serves until `stop`; then finishes the requests that have come.
  void run();
  /// May be called from any thread.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace e5v::detail
