#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "e5v/base/log.h"
#include "e5v/embed/embedder.h"
#include "e5v/index/collection.h"
#include "e5v/server/http_server.h"
#include "e5v/server/metrics.h"
#include "e5v/server/route.h"
#include "e5v/server/serve_options.h"

namespace e5v::detail {

/// What is behind the addresses of `e5v serve`: a table of routes, and the page. Every error
/// becomes an answer: what the client can mend (InputError) is said to it with 400; all else is
/// logged under an id, and the answer, 500, has the id only.
///
/// `handle` may be called by many threads. Until `start` all but the page is answered with 503.
class Service {
 public:
  /// `table` is kept.
  Service(ServeOptions options, Logger& log, std::span<const Route> table = routes());
  ~Service();

  /// From now on there is a model, and a collection or none.
  void start(std::unique_ptr<Embedder> embedder, std::unique_ptr<Collection> collection);

  /// What is refused before the body is read: a wrong key, a foreign page, a foreign host name.
  std::optional<HttpAnswer> gate(const HttpCall& call) const;
  HttpAnswer handle(const HttpCall& call);
  static HttpAnswer refusal(int status, const std::string& message);

 private:
  /// Where a call leads: a route and what stands for its parameter, or null.
  struct Match {
    const Route* route = nullptr;
    std::string parameter;
    bool path_is_known = false;  ///< with another method
  };
  Match find_route(const HttpCall& call) const;
  HttpAnswer answer(const HttpCall& call, const Match& match);
  HttpAnswer dispatch(const HttpCall& call, const Match& match);
  HttpAnswer unknown(const HttpCall& call, const Match& match) const;
  HttpAnswer internal_error(const char* message);
  bool is_own_host(const std::string& host) const;
  bool is_allowed_origin(const HttpCall& call) const;

  const ServeOptions options_;
  Logger& log_;
  const std::span<const Route> table_;
  Metrics metrics_;
  std::string key_digest_;
  std::atomic<Serving*> serving_ = nullptr;
  std::unique_ptr<Serving> owned_;
  std::atomic<uint64_t> next_error_ = 1;
};

}  // namespace e5v::detail
