#include "e5v/server/service.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <ctime>

#include "e5v/base/digest.h"
#include "e5v/base/error.h"
#include "e5v/server/page_assets.h"
#include "e5v/server/serving.h"

namespace e5v::detail {
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

const PageAsset* find_asset(std::string_view path) {
  for (const PageAsset& asset : page_assets()) {
    if (asset.path == path) return &asset;
  }
  return nullptr;
}

HttpAnswer asset_answer(const PageAsset& asset) {
  return {.status = 200,
          .content_type = std::string(asset.content_type),
          .body = std::string(asset.content),
          .headers = {{"Content-Security-Policy",
                       "default-src 'none'; script-src 'self'; style-src 'self'; "
                       "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; "
                       "form-action 'none'; frame-ancestors 'none'"},
                      {"Cache-Control", "no-cache"}}};
}

}  // namespace

Service::Service(ServeOptions options, Logger& log, std::span<const Route> table)
    : options_(std::move(options)), log_(log), table_(table) {
  if (!options_.api_key.empty()) key_digest_ = sha256(options_.api_key);
}

Service::~Service() = default;

void Service::start(std::unique_ptr<Embedder> embedder, std::unique_ptr<Collection> collection) {
  auto serving = std::make_unique<Serving>();
  serving->prepare = embedder->options().prepare;
  serving->prepare.decode.max_pixels = options_.max_megapixels * 1'000'000;
  serving->prepare.decode.max_bytes = options_.max_image_mb << 20;
  const std::filesystem::path model = embedder->options().model;
  serving->model_name = (model.has_filename() ? model : model.parent_path()).filename().native();
  serving->spec = EmbeddingSpec::of(embedder->options());
  serving->loaded_at = std::time(nullptr);
  serving->limits.max_image_bytes = static_cast<size_t>(options_.max_image_mb) << 20;
  serving->remote_images = {.hosts = options_.allow_remote_images,
                            .max_bytes = serving->limits.max_image_bytes};
  serving->metrics = &metrics_;
  const std::string& problem = embedder->preparer().picture_problem();
  if (!problem.empty()) log_.warn("requests with pictures will be refused: {}", problem);
  serving->embedder = std::move(embedder);
  serving->collection = std::move(collection);
  if (serving->collection) serving->collection->prepare_for_many_searches();
  serving->batcher =
      std::make_unique<Batcher>(*serving->embedder,
                                BatcherOptions{.max_batch_tokens = options_.max_batch_tokens,
                                               .max_queue = options_.max_queue},
                                [this](int64_t items, int64_t tokens, double seconds) {
                                  metrics_.add_batch(items, tokens, seconds);
                                });
  owned_ = std::move(serving);
  serving_ = owned_.get();
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
  if (key_digest_.empty() || call.method == "OPTIONS" || find_asset(call.path) != nullptr) {
    return std::nullopt;
  }
  const Match match = find_route(call);
  if (match.route != nullptr && match.route->is_open) return std::nullopt;
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
  const Match match = find_route(call);
  HttpAnswer result = answer(call, match);
  const std::string origin = call.header("Origin");
  if (!origin.empty() && !options_.allow_origins.empty() && is_allowed_origin(call)) {
    const bool is_any = options_.allow_origins[0] == "*";
    result.headers.emplace_back("Access-Control-Allow-Origin", is_any ? "*" : origin);
    result.headers.emplace_back("Access-Control-Allow-Headers",
                                "Authorization, Content-Type, X-API-Key");
    result.headers.emplace_back("Vary", "Origin");
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  // By routes, not by paths: a client cannot make up new ones.
  metrics_.add_request(match.route ? std::string(match.route->path) : "other", result.status,
                       seconds.count());
  return result;
}

Service::Match Service::find_route(const HttpCall& call) const {
  Match match;
  const std::string_view asked = call.method;
  const std::string_view method = asked == "HEAD" ? "GET" : asked;
  for (const Route& route : table_) {
    auto parameter = match_path(route, call.path);
    if (!parameter) continue;
    match.path_is_known = true;
    if (route.method == method) {
      match.route = &route;
      match.parameter = *std::move(parameter);
      break;
    }
  }
  return match;
}

HttpAnswer Service::answer(const HttpCall& call, const Match& match) {
  try {
    return dispatch(call, match);
  } catch (const OverloadedError& error) {
    HttpAnswer result = error_answer(429, error.what(), "rate_limit_error", "rate_limit_exceeded");
    result.headers.emplace_back("Retry-After", "1");
    return result;
  } catch (const CancelledError& error) {
    return error_answer(499, error.what(), "invalid_request_error", "client_closed_request");
  } catch (const InputError& error) {
    return error_answer(400, error.what(), "invalid_request_error", "invalid_request");
  } catch (const std::exception& error) {  // may name files of this machine: not for clients
    return internal_error(error.what());
  }
}

HttpAnswer Service::dispatch(const HttpCall& call, const Match& match) {
  if (call.method == "OPTIONS") return {.status = 204, .content_type = "text/plain", .body = ""};
  if (const PageAsset* asset = find_asset(call.path)) return asset_answer(*asset);
  Serving* const serving = serving_;
  if (match.route != nullptr && match.route->answer_always != nullptr) {
    return match.route->answer_always({call, *match.route, table_, match.parameter, serving});
  }
  if (serving == nullptr) {
    HttpAnswer result = error_answer(503, "the model is being loaded", "server_error", "loading");
    result.headers.emplace_back("Retry-After", "5");
    return result;
  }
  if (match.route == nullptr) return unknown(call, match);
  return match.route->answer({call, *match.route, table_, match.parameter, serving}, *serving);
}

HttpAnswer Service::unknown(const HttpCall& call, const Match& match) const {
  std::string known, allowed;
  for (const Route& route : table_) {
    known += fmt::format("{}{} {}", known.empty() ? "" : ", ", route.method, route.path);
    if (match_path(route, call.path)) allowed = route.method;
  }
  HttpAnswer result = error_answer(
      match.path_is_known ? 405 : 404,
      fmt::format("there is no {} {}; known are {}", call.method, printable(call.path), known),
      "invalid_request_error", match.path_is_known ? "method_not_allowed" : "not_found");
  if (match.path_is_known) result.headers.emplace_back("Allow", allowed);
  return result;
}

HttpAnswer Service::internal_error(const char* message) {
  const uint64_t id = next_error_++;
  log_.error("request {}: {}", id, printable(message, 1000));
  return error_answer(500, fmt::format("internal error; it is logged as {}", id), "server_error",
                      "internal");
}

}  // namespace e5v::detail
