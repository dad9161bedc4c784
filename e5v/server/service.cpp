#include "e5v/server/service.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>

#include "e5v/base/file.h"
#include "e5v/embed/encoding.h"
#include "e5v/hub/digest.h"
#include "e5v/index/export.h"  // item_json
#include "e5v/index/filter.h"
#include "e5v/server/page_assets.h"

namespace e5v {
namespace {

constexpr const char* kJson = "application/json";
constexpr int64_t kMaxResults = 1000;

HttpAnswer json_answer(const Json& json, int status = 200) {
  return {.status = status,
          .content_type = kJson,
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

/// The media type of a picture's bytes; empty if they are none that is known.
std::string picture_type(std::span<const std::byte> bytes) {
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()),
                               std::min<size_t>(bytes.size(), 16));
  if (start.starts_with("\xff\xd8\xff")) return "image/jpeg";
  if (start.starts_with("\x89PNG\r\n\x1a\n")) return "image/png";
  if (start.starts_with("GIF87a") || start.starts_with("GIF89a")) return "image/gif";
  if (start.starts_with("RIFF") &&
      start.substr(std::min<size_t>(8, start.size())).starts_with("WEBP")) {
    return "image/webp";
  }
  return start.starts_with("BM") ? "image/bmp" : "";
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
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

Json parse_body(const HttpCall& call) { return parse_json(call.body, "body"); }

}  // namespace

void ServeOptions::register_options(OptionRegistry& registry) {
  registry.add("host", host, "Address to listen at; 0.0.0.0 = all of this machine's");
  registry.add("port", port, "Port to listen at; 0 = any that is free");
  registry.add("api-key", api_key, "Secret that requests must carry; empty = none");
  registry.add("allow-origin", allow_origins, "Let pages of this origin ask; * = all");
  registry.add("allow-remote-images", allow_remote_images,
               "Fetch pictures by URL from this host; *.name = all below it");
  registry.add("max-batch-tokens", max_batch_tokens, "Tokens of one batch at the most");
  registry.add("max-queue", max_queue, "Items that may wait; more are answered with 429");
  registry.add("max-body-mb", max_body_mb, "Longest request, in MB");
  registry.add("max-image-mb", max_image_mb, "Largest picture, in MB as it is encoded");
  registry.add("max-megapixels", max_megapixels, "Largest picture, in millions of pixels");
  registry.add("max-connections", max_connections, "Connections that are served at a time");
}

void ServeOptions::validate() const {
  const auto require = [](const char* name, int64_t value, int64_t least, int64_t most) {
    if (value < least || value > most) {
      throw ConfigError(fmt::format("'{}' is {}, expected {} to {}", name, value, least, most));
    }
  };
  require("port", port, 0, 65535);
  require("max-batch-tokens", max_batch_tokens, 1, 1 << 24);
  require("max-queue", max_queue, 1, 1 << 24);
  require("max-body-mb", max_body_mb, 1, 4096);
  require("max-image-mb", max_image_mb, 1, 1024);
  require("max-megapixels", max_megapixels, 1, 1024);
  require("max-connections", max_connections, 1, 4096);
}

HttpServerOptions ServeOptions::http() const {
  return {.host = host,
          .port = static_cast<int>(port),
          .max_body_bytes = static_cast<size_t>(max_body_mb) << 20,
          .max_connections = static_cast<size_t>(max_connections)};
}

/// All that there is once the model is loaded.
struct Service::Loaded {
  std::unique_ptr<Embedder> embedder;
  std::unique_ptr<Collection> collection;
  PrepareOptions prepare;
  std::string model_name;
  std::unique_ptr<Batcher> batcher;  // last: it ends before what it uses
};

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
  return error_answer(status, message, "invalid_request_error", "bad_request");
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

namespace {

Collection& require_collection(Collection* collection) {
  if (collection == nullptr) {
    throw InputError("this server has no collection; start it with --collection DIR");
  }
  return *collection;
}

Json hit_json(const SearchHit& hit) {
  Json json = item_json(hit.item);
  json["score"] = hit.score;
  if (hit.item.kind != "text") json["image"] = fmt::format("/v1/items/{}/image", hit.item.id);
  return json;
}

}  // namespace

HttpAnswer Service::collection_info(Loaded& loaded) {
  const CollectionInfo info = require_collection(loaded.collection.get()).info();
  return json_answer({{"items", info.num_items},
                      {"skipped", info.num_skipped},
                      {"dimensions", info.settings.dimensions},
                      {"index", to_string(info.settings.index)}});
}

std::vector<std::byte> Service::stored_image(const CollectionItem& item, Loaded& loaded) const {
  if (const auto content = loaded.collection->find_content(item.hash)) return bytes_of(*content);
  if (item.mtime_ns == 0 || item.kind != "image") return {};
  try {
    return bytes_of(read_file(item.path, static_cast<uint64_t>(256) << 20));
  } catch (const FileError&) {  // gone since it was indexed
    return {};
  }
}

HttpAnswer Service::search(const HttpCall& call, Loaded& loaded) {
  const auto started = std::chrono::steady_clock::now();
  Collection& collection = require_collection(loaded.collection.get());
  const Json body = parse_body(call);
  QueryItem query{.plus = field_or<std::vector<std::string>>(body, "plus", {}),
                  .minus = field_or<std::vector<std::string>>(body, "minus", {}),
                  .weight = field_or<double>(body, "weight", 1.0)};
  if (query.plus.size() + query.minus.size() > 16) {
    throw InputError("'plus' and 'minus' have more than 16 texts");
  }
  query.text = find_field<std::string>(body, "text");
  if (query.text && query.text->empty()) query.text.reset();
  const auto item_id = find_field<int64_t>(body, "item");
  SearchQuery wanted{.k = field_or<int64_t>(body, "k", 10),
                     .min_score = field_or<double>(body, "min_score", -1.0),
                     .where = field_or<std::string>(body, "where", "")};
  if (wanted.k < 1 || wanted.k > kMaxResults) {
    throw InputError(fmt::format("'k' is {}, expected 1 to {}", wanted.k, kMaxResults));
  }
  collection.check_filter(wanted.where);
  if (const auto image = find_field<std::string>(body, "image")) {
    query.image = image_bytes(parse_image(*image, "image", limits_));
  } else if (item_id) {
    const auto item = collection.find_item(*item_id);
    if (!item) throw InputError(fmt::format("there is no item {}", *item_id));
    if (query.text) {  // a picture of the collection, changed by words
      query.image = stored_image(*item, loaded);
      if (std::get<std::vector<std::byte>>(*query.image).empty()) {
        throw InputError(fmt::format("the picture of item {} is not there any more", *item_id));
      }
    }
  }
  std::vector<std::vector<float>> vectors;
  QueryItem to_embed = query;
  if (item_id && !query.text && !query.image) {
    vectors.push_back(collection.find_vector(*item_id));  // known: the model need not look again
    if (vectors[0].empty()) throw InputError(fmt::format("there is no item {}", *item_id));
    to_embed.text = "";
  }
  std::vector<Item> items = query_items(to_embed, loaded.prepare);
  if (!vectors.empty()) items.erase(items.begin());
  if (!items.empty()) {
    EmbeddedItems embedded = loaded.batcher->embed(items, loaded.prepare, call.client_gone);
    std::move(embedded.vectors.begin(), embedded.vectors.end(), std::back_inserter(vectors));
  }
  wanted.vector = combine_query(query, vectors);
  Json results = Json::array();
  for (const SearchHit& hit : collection.search(wanted)) results.push_back(hit_json(hit));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - started;
  return json_answer({{"results", std::move(results)}, {"took_ms", took.count()}});
}

HttpAnswer Service::index(const HttpCall& call, Loaded& loaded) {
  Collection& collection = require_collection(loaded.collection.get());
  const Json body = parse_body(call);
  const auto documents = field_or<Json>(body, "documents", Json::array());
  const auto removed_ids = field_or<std::vector<int64_t>>(body, "delete", {});
  if (!documents.is_array() || documents.size() > limits_.max_items) {
    throw InputError(fmt::format("'documents' is not a list of at most {}", limits_.max_items));
  }
  std::vector<Item> items;
  CollectionChanges changes{.removed = removed_ids};
  for (size_t i = 0; i < documents.size(); ++i) {
    const Json& document = documents[i];
    const std::string field = fmt::format("documents[{}]", i);
    if (!document.is_object()) throw InputError(fmt::format("'{}' is no object", field));
    Item& item = items.emplace_back();
    NewItem added;
    added.item.path = require_field<std::string>(document, "id");
    if (added.item.path.empty() || added.item.path.size() > 1000 ||
        added.item.path.starts_with('/')) {
      throw InputError(fmt::format("'{}.id' is empty, too long, or begins with '/'", field));
    }
    added.item.caption = field_or<std::string>(document, "caption", "");
    added.item.metadata = field_or<Json>(document, "metadata", Json::object());
    if (!added.item.metadata.is_object()) {
      throw InputError(fmt::format("'{}.metadata' is no object", field));
    }
    item.text = find_field<std::string>(document, "text");
    added.item.text = item.text.value_or("");
    std::string content = added.item.text;
    if (const auto image = find_field<std::string>(document, "image")) {
      const auto bytes = image_bytes(parse_image(*image, field + ".image", limits_));
      added.content.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      content += added.content;
      item.images.emplace_back(bytes);
    }
    added.item.kind = item.images.empty() ? "text" : item.text ? "composed" : "image";
    if (added.item.kind == "composed" && loaded.prepare.prompt.empty()) item.task = "cirr";
    added.item.size = static_cast<int64_t>(content.size());
    // The content's own digest would be that of a file with the same bytes; a pair has another.
    added.item.hash =
        sha256(added.item.kind == "image" ? content : added.item.kind + "\n" + content);
    changes.added.push_back(std::move(added));
  }
  if (!items.empty()) {
    const EmbeddedItems embedded = loaded.batcher->embed(items, loaded.prepare, call.client_gone);
    for (size_t i = 0; i < items.size(); ++i) changes.added[i].vector = embedded.vectors[i];
  }
  collection.apply(changes);
  return json_answer({{"added", items.size()},
                      {"removed", removed_ids.size()},
                      {"items", collection.info().num_items}});
}

HttpAnswer Service::item_image(const HttpCall& call, Loaded& loaded) {
  Collection& collection = require_collection(loaded.collection.get());
  const auto not_found = [] {
    return error_answer(404, "there is no such picture", "invalid_request_error", "not_found");
  };
  // /v1/items/ID/image: the only part that a client chooses is a number.
  std::string_view rest = std::string_view(call.path).substr(std::string_view("/v1/items/").size());
  const size_t digits = rest.find_first_not_of("0123456789");
  if (digits == 0 || digits > 18 || rest.substr(std::min(digits, rest.size())) != "/image") {
    return not_found();
  }
  const auto item = collection.find_item(std::stoll(std::string(rest.substr(0, digits))));
  if (!item) return not_found();
  const std::vector<std::byte> bytes = stored_image(*item, loaded);
  const std::string type = picture_type(bytes);
  if (type.empty()) return not_found();
  return {.status = 200,
          .content_type = type,
          .body = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
          .headers = {{"Content-Security-Policy", "default-src 'none'; sandbox"},
                      {"Cache-Control", "private, max-age=3600"}}};
}

}  // namespace e5v
