#include "e5v/server/http_server.h"

#include <httplib.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kSlowestBytesPerSecond = 16 << 10;
/// Requests on one connection before it is closed.
constexpr int kMaxRequestsPerConnection = 1000;
/// Connections that wait to be accepted. Debian's httplib has 5: of 32 clients that come at once
/// some are refused, others wait a second for their next try.
constexpr int kBacklog = 512;

bool wait_for(int descriptor, short events, std::chrono::milliseconds time) {
  pollfd waiting{.fd = descriptor, .events = events, .revents = 0};
  int result = 0;
  do {
    result = ::poll(&waiting, 1, static_cast<int>(std::max<int64_t>(0, time.count())));
  } while (result < 0 && errno == EINTR);
  return result > 0;
}

/// A connection whose every request has to arrive, and every answer to leave, at a least rate.
/// Members without `override`: the base class has more of them in later versions of cpp-httplib.
class TimedStream final : public httplib::Stream {
 public:
  TimedStream(int descriptor, int timeout_s) : descriptor_(descriptor), timeout_s_(timeout_s) {}

  void begin_request() {
    began_ = Clock::now();
    num_received_ = 0;
  }
  bool has_buffered() const { return at_ < filled_; }

  bool is_readable() const { return has_buffered() || wait_for(descriptor_, POLLIN, remaining()); }
  bool is_writable() const {
    return wait_for(descriptor_, POLLOUT, std::chrono::seconds(timeout_s_));
  }

  ssize_t read(char* out, size_t size) {
    if (!has_buffered()) {
      if (remaining().count() <= 0 || !wait_for(descriptor_, POLLIN, remaining())) return -1;
      const ssize_t received = ::recv(descriptor_, buffer_.data(), buffer_.size(), 0);
      if (received <= 0) return received;
      at_ = 0;
      filled_ = static_cast<size_t>(received);
      num_received_ += received;
    }
    const size_t count = std::min(size, filled_ - at_);
    std::copy_n(buffer_.data() + at_, count, out);
    at_ += count;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* data, size_t size) {
    const auto began = Clock::now();
    for (size_t done = 0; done < size;) {
      const auto allowed =
          std::chrono::seconds(timeout_s_ + static_cast<int64_t>(done) / kSlowestBytesPerSecond);
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(allowed - (Clock::now() - began));
      if (left.count() <= 0 || !wait_for(descriptor_, POLLOUT, left)) return -1;
      const ssize_t sent =
          ::send(descriptor_, data + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (sent <= 0) return -1;
      done += static_cast<size_t>(sent);
    }
    return static_cast<ssize_t>(size);
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    std::array<char, NI_MAXHOST> host{};
    if (::getpeername(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host.data(), host.size(),
                      nullptr, 0, NI_NUMERICHOST) == 0) {
      ip = host.data();
    }
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const {
    ip.clear();
    port = 0;
  }
  socket_t socket() const { return descriptor_; }

 private:
  std::chrono::milliseconds remaining() const {
    const auto allowed = std::chrono::seconds(timeout_s_ + num_received_ / kSlowestBytesPerSecond);
    return std::chrono::duration_cast<std::chrono::milliseconds>(allowed - (Clock::now() - began_));
  }

  int descriptor_;
  int timeout_s_;
  Clock::time_point began_ = Clock::now();
  int64_t num_received_ = 0;
  std::array<char, 16384> buffer_;
  size_t at_ = 0;
  size_t filled_ = 0;
};

/// The connection that this thread serves.
struct Connection {
  int descriptor = -1;
  bool must_close = false;
};
thread_local Connection connection;

bool peer_has_closed(int descriptor) {
  char byte = 0;
  const ssize_t peeked = ::recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return peeked == 0 || (peeked < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

class TimedServer final : public httplib::Server {
 public:
  explicit TimedServer(const HttpServerOptions& options) : options_(options) {}

  /// Once bound: listening again only changes how many may wait.
  void widen_backlog() { ::listen(svr_sock_, kBacklog); }

 private:
  /// Serves a connection's requests, one after the other.
  bool process_and_close_socket(socket_t descriptor) override {
    connection = {.descriptor = descriptor};
    TimedStream stream(descriptor, options_.read_timeout_s);
    bool ok = true;
    for (int count = 1; ok && await_request(stream, descriptor); ++count) {
      stream.begin_request();
      bool closed = false;
      ok = process(*this, stream, count == kMaxRequestsPerConnection || svr_sock_ == INVALID_SOCKET,
                   closed);
      if (closed || connection.must_close || count == kMaxRequestsPerConnection) break;
    }
    ::shutdown(descriptor, SHUT_RDWR);
    ::close(descriptor);
    return ok;
  }

  bool await_request(const TimedStream& stream, int descriptor) const {
    const auto until = Clock::now() + std::chrono::seconds(options_.keep_alive_s);
    while (!stream.has_buffered() && !wait_for(descriptor, POLLIN, std::chrono::milliseconds(50))) {
      if (svr_sock_ == INVALID_SOCKET || Clock::now() > until) return false;
    }
    return true;
  }

  /// `process_request` has taken the peer's address as well since cpp-httplib 0.14.
  template <class Self>
  static bool process(Self& self, TimedStream& stream, bool close, bool& closed) {
    if constexpr (requires { self.process_request(stream, close, closed, nullptr); }) {
      return self.process_request(stream, close, closed, nullptr);
    } else {
      std::string address;
      int port = 0;
      stream.get_remote_ip_and_port(address, port);
      return self.process_request(stream, address, port, "", 0, close, closed, nullptr);
    }
  }

  const HttpServerOptions options_;
};

HttpCall call_of(const httplib::Request& request) {
  const int descriptor = connection.descriptor;
  return {.method = request.method,
          .path = request.path,
          .query = {request.params.begin(), request.params.end()},
          .body = {},
          .remote_address = request.remote_addr,
          .header = [&request](const char* name) { return request.get_header_value(name); },
          .client_gone = [descriptor] { return peer_has_closed(descriptor); }};
}

void write_answer(const HttpAnswer& answer, httplib::Response& response) {
  response.status = answer.status;
  response.set_content(answer.body, answer.content_type.c_str());
  for (const auto& [name, value] : answer.headers) response.set_header(name.c_str(), value.c_str());
  // What is served must not be taken for something else, nor framed.
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_header("Referrer-Policy", "no-referrer");
  if (connection.must_close) response.set_header("Connection", "close");
}

}  // namespace

struct HttpServer::Impl {
  HttpServerOptions options;
  Gate gate;
  Handler handler;
  Refusal refusal;
  TimedServer server;
  std::atomic<bool> stopping = false;
  std::atomic<size_t> body_bytes_held = 0;

  Impl(HttpServerOptions given, Gate gate, Handler handler, Refusal refusal)
      : options(std::move(given)),
        gate(std::move(gate)),
        handler(std::move(handler)),
        refusal(std::move(refusal)),
        server(options) {}

  void declare();
  std::optional<HttpAnswer> refused(const httplib::Request& request) const;
  void receive(const httplib::Request& request, httplib::Response& response,
               const httplib::ContentReader& read);
};

/// What is refused by its headers alone.
std::optional<HttpAnswer> HttpServer::Impl::refused(const httplib::Request& request) const {
  const std::string length = request.get_header_value("Content-Length");
  const bool has_body =
      request.has_header("Transfer-Encoding") || (!length.empty() && length != "0");
  if (request.get_header_value_count("Content-Length") > 1 ||
      (!length.empty() && length.find_first_not_of("0123456789") != std::string::npos) ||
      (!length.empty() && request.has_header("Transfer-Encoding"))) {
    return refusal(400, "the length of the body is not clear");
  }
  if (length.size() > 18 || (!length.empty() && std::stoull(length) > options.max_body_bytes)) {
    return refusal(413, fmt::format("the body is longer than {} bytes", options.max_body_bytes));
  }
  if (request.method == "POST") {
    if (request.has_header("Content-Encoding") &&
        request.get_header_value("Content-Encoding") != "identity") {
      return refusal(415, "a compressed body is not taken");
    }
    if (request.get_header_value("Content-Type").find("multipart/") != std::string::npos) {
      return refusal(415, "a body of several parts is not taken, send JSON");
    }
  } else if (has_body) {
    return refusal(400, request.method + " with a body is not taken");
  }
  return gate(call_of(request));
}

void HttpServer::Impl::receive(const httplib::Request& request, httplib::Response& response,
                               const httplib::ContentReader& read) {
  HttpCall call = call_of(request);
  // Given back when the request is answered, however that ends.
  struct Held {
    std::atomic<size_t>& all;
    size_t own = 0;
    ~Held() { all -= own; }
  } held{.all = body_bytes_held};
  bool too_long = false, no_room = false;
  const bool complete = read([&](const char* data, size_t size) {
    held.own += size;
    no_room = (held.all += size) > options.max_total_body_bytes;
    too_long = held.own > options.max_body_bytes;
    if (too_long || no_room) return false;
    call.body.append(data, size);
    return true;
  });
  if (complete) return write_answer(handler(call), response);
  connection.must_close = true;
  HttpAnswer answer =
      no_room ? refusal(503, "too many long requests are being served, try again later")
      : too_long
          ? refusal(413, fmt::format("the body is longer than {} bytes", options.max_body_bytes))
          : refusal(400, "the body did not arrive as a whole");
  if (no_room) answer.headers.emplace_back("Retry-After", "1");
  write_answer(answer, response);
}

void HttpServer::Impl::declare() {
  const auto answer = [this](const httplib::Request& request, httplib::Response& response) {
    write_answer(handler(call_of(request)), response);
  };
  server.set_pre_routing_handler(
      [this](const httplib::Request& request, httplib::Response& response) {
        const auto refusal_answer = refused(request);
        if (!refusal_answer) return httplib::Server::HandlerResponse::Unhandled;
        connection.must_close = true;  // a body may follow that nobody reads
        write_answer(*refusal_answer, response);
        return httplib::Server::HandlerResponse::Handled;
      });
  server.Get(R"(/.*)", answer);
  server.Options(R"(/.*)", answer);
  server.Post(R"(/.*)",
              [this](const httplib::Request& request, httplib::Response& response,
                     const httplib::ContentReader& read) { receive(request, response, read); });
  // What httplib itself refuses: a malformed request line or header, another method.
  server.set_error_handler([this](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    connection.must_close = true;
    const int status = response.status == 404 ? 405 : response.status;
    write_answer(refusal(status, "the request is malformed, or its method is not known"), response);
  });
  const size_t threads = options.max_connections;
  server.new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
  server.set_tcp_nodelay(true);
  // Not httplib's SO_REUSEPORT, with which two servers would share a port without a word.
  server.set_socket_options([](socket_t descriptor) {
    const int yes = 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
}

HttpServer::HttpServer(HttpServerOptions options, Gate gate, Handler handler, Refusal refusal)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(gate), std::move(handler),
                                   std::move(refusal))) {
  impl_->declare();
}

HttpServer::~HttpServer() = default;

int HttpServer::bind() {
  const HttpServerOptions& options = impl_->options;
  const std::string place = fmt::format("{}:{}", options.host, options.port);
  if (options.port == 0) {
    const int port = impl_->server.bind_to_any_port(options.host.c_str());
    if (port <= 0) throw FileError(place, "cannot listen", "is the address this machine's?");
    impl_->server.widen_backlog();
    return port;
  }
  if (!impl_->server.bind_to_port(options.host.c_str(), options.port)) {
    throw FileError(place, "cannot listen", "is another program using the port?");
  }
  impl_->server.widen_backlog();
  return options.port;
}

void HttpServer::run() {
  if (!impl_->stopping) impl_->server.listen_after_bind();
}

void HttpServer::stop() {
  impl_->stopping = true;
  // httplib forgets a stop that comes just before it begins to listen.
  for (int i = 0; i < 200 && !impl_->server.is_running(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  impl_->server.stop();
}

}  // namespace e5v::detail
