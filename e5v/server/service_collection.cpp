// What `e5v serve` does with a collection: search, additions, its pictures.
#include <algorithm>
#include <chrono>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/index/export.h"  // item_json
#include "e5v/index/filter.h"
#include "e5v/server/service_impl.h"

namespace e5v {
namespace {

constexpr int64_t kMaxResults = 1000;

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
