#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "e5v/base/log.h"
#include "e5v/search/collection_embedder.h"
#include "e5v/search/query.h"
#include "e5v/server/batcher.h"
#include "e5v/server/http_server.h"
#include "e5v/server/metrics.h"
#include "e5v/server/remote_image.h"
#include "e5v/server/serve_options.h"
#include "e5v/server/wire_types.h"

namespace e5v {

/// What is behind the addresses of `e5v serve`: embeddings in six request shapes, search and
/// additions in a collection, the page. Every error becomes an answer; what is no fault of the
/// client's is logged under an id that the answer names.
///
/// `handle` may be called by many threads. Until `start` all but the page is answered with 503.
class Service {
 public:
  Service(ServeOptions options, Logger& log);
  ~Service();

  /// From now on there is a model, and a collection or none.
  void start(std::unique_ptr<Embedder> embedder, std::unique_ptr<Collection> collection);

  /// What is refused before the body is read: a wrong key, a foreign page, a foreign host name.
  std::optional<HttpAnswer> gate(const HttpCall& call) const;
  HttpAnswer handle(const HttpCall& call);
  static HttpAnswer refusal(int status, const std::string& message);

  /// For tests: also fetch pictures from this machine.
  void allow_private_addresses() { remote_images_.allow_private_addresses = true; }

 private:
  struct Loaded;

  HttpAnswer answer(const HttpCall& call);
  HttpAnswer route(const HttpCall& call, Loaded& loaded);
  HttpAnswer embeddings(const HttpCall& call, Loaded& loaded);
  HttpAnswer models(const Loaded& loaded) const;
  HttpAnswer search(const HttpCall& call, Loaded& loaded);
  HttpAnswer index(const HttpCall& call, Loaded& loaded);
  HttpAnswer item_image(const HttpCall& call, Loaded& loaded);
  HttpAnswer collection_info(Loaded& loaded);
  Item resolve(const WireItem& wire, const Loaded& loaded) const;
  PrepareOptions prepare_options(const EmbeddingRequest& request, const WireItem& item,
                                 const Loaded& loaded) const;
  std::vector<std::byte> image_bytes(const WireImage& image) const;
  std::vector<std::byte> stored_image(const CollectionItem& item, Loaded& loaded) const;
  bool is_own_host(const std::string& host) const;
  bool is_allowed_origin(const HttpCall& call) const;

  const ServeOptions options_;
  Logger& log_;
  WireLimits limits_;
  RemoteImageOptions remote_images_;
  Metrics metrics_;
  std::string key_digest_;
  std::atomic<Loaded*> loaded_ = nullptr;
  std::unique_ptr<Loaded> owned_;
  std::atomic<uint64_t> next_id_ = 1;
};

}  // namespace e5v
