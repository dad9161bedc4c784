#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "e5v/base/error.h"

namespace e5v::detail {

/// No complete answer came: the connection failed, broke or stalled. Another try may succeed.
class ConnectionError : public Error {
 public:
  using Error::Error;
};

struct HttpRequest {
  std::string url;
  /// Only the headers are wanted (HEAD).
  bool head_only = false;
  /// Ask for the bytes from here on (Range).
  uint64_t first_byte = 0;
  /// Sent as "Authorization: Bearer …" where not empty.
  std::string token;
};

struct HttpResponse {
  int status = 0;
  /// Names in lower case; the last value of a repeated header.
  std::map<std::string, std::string> headers;
  /// Absolute; empty where the answer is no redirect.
  std::string redirect_url;

  std::optional<std::string> header(const std::string& name) const;
};

/// One HTTP client, which keeps connections open between requests. Follows no redirects, since what
/// may be sent along differs by host. Speaks http and https; proxies as the environment says.
/// Not thread-safe.
class HttpClient {
 public:
  /// A transfer of under 1 byte/s for `stall_s` seconds counts as broken.
  explicit HttpClient(int stall_s);
  ~HttpClient();

  /// Called with the answer's head before its body; returns whether the body is wanted.
  using HeadCallback = std::function<bool(const HttpResponse&)>;
  using BodyCallback = std::function<void(std::string_view)>;

  /// The answer, after its whole body went to `on_body`; what the callbacks throw comes through.
  /// Throws ConnectionError, and InputError where the URL or the server's certificate is unusable.
  HttpResponse send(const HttpRequest& request, const HeadCallback& on_head,
                    const BodyCallback& on_body);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
  int stall_s_;
};

/// "scheme://host:port" of `url`, lower-case and with the scheme's own port where none is given:
/// two URLs of one origin may be sent the same secrets. Throws InputError.
std::string url_origin(const std::string& url);

}  // namespace e5v::detail
