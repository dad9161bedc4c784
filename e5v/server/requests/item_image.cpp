// The picture of an item of the collection.
#include <algorithm>

#include "e5v/server/route.h"
#include "e5v/server/serving.h"

namespace e5v::detail {
namespace {

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

HttpAnswer item_image(const RouteCall& call, Serving& serving) {
  Collection& collection = serving.require_collection();
  const auto not_found = [] {
    return error_answer(404, "there is no such picture", "invalid_request_error", "not_found");
  };
  // The only part of the path that a client chooses is a number.
  const std::string& id = call.parameter;
  if (id.size() > 18 || id.find_first_not_of("0123456789") != std::string::npos) {
    return not_found();
  }
  const auto item = collection.find_item(std::stoll(id));
  if (!item) return not_found();
  const std::vector<std::byte> bytes = collection.find_picture(*item);
  const std::string type = picture_type(bytes);
  if (type.empty()) return not_found();
  return {.status = 200,
          .content_type = type,
          .body = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
          .headers = {{"Content-Security-Policy", "default-src 'none'; sandbox"},
                      {"Cache-Control", "private, max-age=3600"}}};
}

}  // namespace

std::vector<Route> item_image_routes() {
  return {{.method = "GET",
           .path = "/v1/items/{id}/image",
           .document = {.summary = "An item's picture, as it was indexed",
                        .response_type = "image/*",
                        .parameter = R"({"type": "integer", "minimum": 1})"},
           .answer = item_image}};
}

}  // namespace e5v::detail
