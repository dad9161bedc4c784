#include "e5v/server/service.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>

#include "e5v/base/digest.h"
#include "e5v/base/error.h"
#include "e5v/embed/encoding.h"
#include "e5v/server/page_assets.h"
#include "e5v/server/service_impl.h"

namespace e5v {
namespace {

/// In the same time wherever the first difference is.
bool equal_digests(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// "host:port" without its port.
std::string host_name(const std::string& host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool is_open(const std::string& path) {
  return path == "/" || path == "/page.css" || path == "/page.js" || path == "/health" ||
         path == "/openapi.json";
}

/// Paths as the metrics name them: a client cannot make up new ones.
std::string metrics_path(const std::string& path) {
  constexpr std::array kPaths = {
      "/v1/embeddings", "/embeddings", "/v2/embed", "/v1/multimodalembeddings",
      "/v1/models",     "/v1/search",  "/v1/index", "/v1/collection",
      "/metrics",       "/health"};
  if (path.starts_with("/v1/items/")) return "/v1/items";
  const auto found = std::find(kPaths.begin(), kPaths.end(), path);
  return found == kPaths.end() ? "other" : *found;
}

}  // namespace

HttpAnswer json_answer(const Json& json, int status) {
  return {.status = status,
          .content_type = "application/json",
          .body = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

HttpAnswer error_answer(int status, std::string_view message, std::string_view type,
                        std::string_view code) {
  return json_answer(error_response(message, type, code), status);
}

std::string sha256(std::string_view text) {
  Digest digest(DigestKind::kSha256, text.size());
  digest.update(text);
  return digest.finish();
}

Json parse_body(const HttpCall& call) {
  // A value takes 16 bytes once it is parsed, were it "0" in the text: those are counted first.
  constexpr int64_t kMaxValues = 8'000'000;
  const auto num_values = std::count_if(call.body.begin(), call.body.end(),
                                        [](char c) { return c == ',' || c == '[' || c == '{'; });
  if (num_values > kMaxValues) {
    throw InputError(
        fmt::format("the body has {} values, at most {} are taken", num_values, kMaxValues));
  }
  return parse_json(call.body, "body");
}

Service::Service(ServeOptions options, Logger& log) : options_(std::move(options)), log_(log) {
  limits_.max_image_bytes = static_cast<size_t>(options_.max_image_mb) << 20;
  remote_images_.hosts = options_.allow_remote_images;
  remote_images_.max_bytes = limits_.max_image_bytes;
  if (!options_.api_key.empty()) key_digest_ = sha256(options_.api_key);
}

Service::~Service() = default;

void Service::start(std::unique_ptr<Embedder> embedder, std::unique_ptr<Collection> collection) {
  auto loaded = std::make_unique<Loaded>();
  loaded->prepare = embedder->options().prepare;
  loaded->prepare.decode.max_pixels = options_.max_megapixels * 1'000'000;
  loaded->prepare.decode.max_bytes = options_.max_image_mb << 20;
  const std::filesystem::path model = embedder->options().model;
  loaded->model_name = (model.has_filename() ? model : model.parent_path()).filename().native();
  loaded->embedder = std::move(embedder);
  loaded->collection = std::move(collection);
  if (loaded->collection) loaded->collection->prepare_for_many_searches();
  loaded->batcher =
      std::make_unique<Batcher>(*loaded->embedder,
                                BatcherOptions{.max_batch_tokens = options_.max_batch_tokens,
                                               .max_queue = options_.max_queue},
                                [this](int64_t items, int64_t tokens, double seconds) {
                                  metrics_.add_batch(items, tokens, seconds);
                                });
  owned_ = std::move(loaded);
  loaded_ = owned_.get();
}

HttpAnswer Service::refusal(int status, const std::string& message) {
  return status >= 500 ? error_answer(status, message, "server_error", "overloaded")
                       : error_answer(status, message, "invalid_request_error", "bad_request");
}

/// A page of another site may have made its own name resolve to this machine: only names that are
/// ours are answered to, where the server is meant for this machine alone.
bool Service::is_own_host(const std::string& host) const {
  const bool is_local =
      options_.host == "127.0.0.1" || options_.host == "localhost" || options_.host == "::1";
  if (!is_local) return true;
  const std::string name = lower(host_name(host));
  return name == "localhost" || name == "127.0.0.1" || name == "[::1]";
}

bool Service::is_allowed_origin(const HttpCall& call) const {
  const std::string origin = call.header("Origin");
  const std::string host = call.header("Host");
  if (origin.empty() || origin == "http://" + host || origin == "https://" + host) return true;
  return std::any_of(
      options_.allow_origins.begin(), options_.allow_origins.end(),
      [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

std::optional<HttpAnswer> Service::gate(const HttpCall& call) const {
  if (!is_own_host(call.header("Host"))) {
    return error_answer(403, "this server does not answer to that host name",
                        "invalid_request_error", "wrong_host");
  }
  if (!is_allowed_origin(call)) {
    return error_answer(403, "pages of that origin may not ask this server; see --allow-origin",
                        "invalid_request_error", "wrong_origin");
  }
  if (key_digest_.empty() || call.method == "OPTIONS" || is_open(call.path)) return std::nullopt;
  std::string given = call.header("Authorization");
  if (lower(given.substr(0, 7)) == "bearer ") {
    given = given.substr(7);
  } else {
    given = call.header("X-API-Key");
  }
  if (equal_digests(sha256(given), key_digest_)) return std::nullopt;
  return error_answer(401, "the API key is missing or wrong", "invalid_request_error",
                      "invalid_api_key");
}

HttpAnswer Service::handle(const HttpCall& call) {
  const auto started = std::chrono::steady_clock::now();
  HttpAnswer result = answer(call);
  const std::string origin = call.header("Origin");
  if (!origin.empty() && !options_.allow_origins.empty() && is_allowed_origin(call)) {
    const bool is_any = options_.allow_origins[0] == "*";
    result.headers.emplace_back("Access-Control-Allow-Origin", is_any ? "*" : origin);
    result.headers.emplace_back("Access-Control-Allow-Headers",
                                "Authorization, Content-Type, X-API-Key");
    result.headers.emplace_back("Vary", "Origin");
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  metrics_.add_request(metrics_path(call.path), result.status, seconds.count());
  return result;
}

HttpAnswer Service::answer(const HttpCall& call) {
  try {
    Loaded* loaded = loaded_;
    if (call.method == "OPTIONS") return {.status = 204, .content_type = "text/plain", .body = ""};
    if (call.path == "/health") {
      return json_answer({{"status", loaded ? "ok" : "loading"}}, loaded ? 200 : 503);
    }
    for (const PageAsset& asset : page_assets()) {
      if (call.path != asset.path) continue;
      return {.status = 200,
              .content_type = std::string(asset.content_type),
              .body = std::string(asset.content),
              .headers = {{"Content-Security-Policy",
                           "default-src 'none'; script-src 'self'; style-src 'self'; "
                           "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; "
                           "form-action 'none'; frame-ancestors 'none'"},
                          {"Cache-Control", "no-cache"}}};
    }
    if (!loaded) {
      HttpAnswer result = error_answer(503, "the model is being loaded", "server_error", "loading");
      result.headers.emplace_back("Retry-After", "5");
      return result;
    }
    return route(call, *loaded);
  } catch (const OverloadedError& error) {
    HttpAnswer result = error_answer(429, error.what(), "rate_limit_error", "rate_limit_exceeded");
    result.headers.emplace_back("Retry-After", "1");
    return result;
  } catch (const CancelledError& error) {
    return error_answer(499, error.what(), "invalid_request_error", "client_closed_request");
  } catch (const FileError& error) {  // names a path of this machine: not for clients
    const uint64_t id = next_id_++;
    log_.error("request {}: {}", id, error.what());
    return error_answer(500, fmt::format("internal error; it is logged as {}", id), "server_error",
                        "internal");
  } catch (const Error& error) {
    return error_answer(400, error.what(), "invalid_request_error", "invalid_request");
  } catch (const std::exception& error) {
    const uint64_t id = next_id_++;
    log_.error("request {}: {}", id, printable(error.what(), 400));
    return error_answer(500, fmt::format("internal error; it is logged as {}", id), "server_error",
                        "internal");
  }
}

HttpAnswer Service::route(const HttpCall& call, Loaded& loaded) {
  const bool is_post = call.method == "POST";
  const bool is_embedding = call.path == "/v1/embeddings" || call.path == "/embeddings" ||
                            call.path == "/v2/embed" || call.path == "/v1/multimodalembeddings";
  if (is_embedding && is_post) return embeddings(call, loaded);
  if (call.path == "/v1/search" && is_post) return search(call, loaded);
  if (call.path == "/v1/index" && is_post) return index(call, loaded);
  if (call.path == "/v1/models" && !is_post) return models(loaded);
  if (call.path == "/v1/collection" && !is_post) return collection_info(loaded);
  if (call.path == "/metrics" && !is_post) {
    return {.status = 200,
            .content_type = "text/plain; version=0.0.4",
            .body = metrics_.text(loaded.batcher->num_waiting())};
  }
  if (call.path.starts_with("/v1/items/") && !is_post) return item_image(call, loaded);
  const bool is_known = metrics_path(call.path) != "other";
  return error_answer(is_known ? 405 : 404,
                      fmt::format("there is no {} {}", call.method, printable(call.path)),
                      "invalid_request_error", is_known ? "method_not_allowed" : "not_found");
}

std::vector<std::byte> Service::image_bytes(const WireImage& image) const {
  return image.url.empty() ? image.bytes : fetch_image(image.url, remote_images_);
}

Item Service::resolve(const WireItem& wire, const Loaded& loaded) const {
  Item item;
  item.text = wire.text;
  if (!wire.token_ids.empty()) {
    const Tokenizer& tokenizer = loaded.embedder->preparer().tokenizer();
    for (const int64_t id : wire.token_ids) {
      if (id >= tokenizer.vocab_size()) {
        throw InputError(
            fmt::format("token {} is outside the vocabulary of {}", id, tokenizer.vocab_size()));
      }
    }
    item.text = tokenizer.decode(wire.token_ids);
  }
  for (const WireImage& image : wire.images) item.images.emplace_back(image_bytes(image));
  return item;
}

/// The prompt of an item: the request's, else that of the server's task; a picture with a text is
/// asked about as in composed retrieval, where the task has no prompt for both.
PrepareOptions Service::prepare_options(const EmbeddingRequest& request, const WireItem& item,
                                        const Loaded& loaded) const {
  PrepareOptions options = loaded.prepare;
  options.truncate |= request.truncate;
  const bool has_text = item.text || !item.token_ids.empty();
  const bool is_composed = has_text && !item.images.empty();
  if (!request.prompt.empty()) {
    options.prompt = request.prompt;
  } else if (!request.instruction.empty()) {
    std::string body = request.instruction;
    if (body.find(kTextPlaceholder) == std::string::npos &&
        body.find(kImagePlaceholder) == std::string::npos) {
      body = fmt::format("{}{}\n{}", item.images.empty() ? "" : kImagePlaceholder,
                         has_text ? kTextPlaceholder : "", body);
    }
    options.prompt = apply_chat_template(loaded.embedder->preparer().chat_template(), body);
  } else if (!request.task.empty()) {
    options.task = request.task;
    options.prompt.clear();
  } else if (is_composed && options.prompt.empty()) {
    const auto prompts = find_prompts(options.task, loaded.embedder->preparer().chat_template());
    if (prompts.composed.empty()) options.task = "cirr";
  }
  return options;
}

HttpAnswer Service::embeddings(const HttpCall& call, Loaded& loaded) {
  const Json body = parse_body(call);
  const EmbeddingRequest request =
      call.path == "/v1/embeddings"             ? parse_embeddings_request(body, limits_)
      : call.path == "/v2/embed"                ? parse_cohere_request(body, limits_)
      : call.path == "/v1/multimodalembeddings" ? parse_voyage_request(body, limits_)
                                                : parse_infinity_request(body, limits_);
  if (request.dimensions > loaded.embedder->dimensions()) {
    throw InputError(fmt::format("'dimensions' is {}, the model's vectors have {}",
                                 request.dimensions, loaded.embedder->dimensions()));
  }
  std::vector<Item> items;
  for (const WireItem& wire : request.items) {
    Item& item = items.emplace_back(resolve(wire, loaded));
    const PrepareOptions options = prepare_options(request, wire, loaded);
    item.task = options.prompt.empty() ? options.task : "";
    item.prompt = options.prompt;
  }
  PrepareOptions options = loaded.prepare;
  options.truncate |= request.truncate;
  EmbeddedItems embedded = loaded.batcher->embed(items, options, call.client_gone);
  for (auto& vector : embedded.vectors) truncate_and_normalize(vector, request.dimensions);
  const std::string model = request.model.empty() ? loaded.model_name : request.model;
  return json_answer(embedding_response(request, model, embedded.vectors, embedded.num_tokens,
                                        fmt::format("embd-{}", next_id_++)));
}

HttpAnswer Service::models(const Loaded& loaded) const {
  return json_answer({{"object", "list"},
                      {"data",
                       {{{"id", loaded.model_name},
                         {"object", "model"},
                         {"owned_by", "e5v"},
                         {"dimensions", loaded.embedder->dimensions()},
                         {"precision", loaded.embedder->precision()}}}}});
}

}  // namespace e5v
