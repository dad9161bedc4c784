#include "e5v/server/serving.h"

#include <algorithm>
#include <cmath>

#include "e5v/base/digest.h"
#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

bool is_finite(const std::vector<float>& vector) {
  return std::all_of(vector.begin(), vector.end(),
                     [](float value) { return std::isfinite(value); });
}

}  // namespace

Collection& Serving::require_collection() const {
  if (!collection) {
    throw InputError("this server has no collection; start it with --collection DIR");
  }
  return *collection;
}

std::vector<std::byte> Serving::image_bytes(const WireImage& image) const {
  return image.url.empty() ? image.bytes : fetch_image(image.url, remote_images);
}

EmbeddedItems Serving::embed(const std::vector<Item>& items, const PrepareOptions& options,
                             const HttpCall& call) const {
  const bool takes_images = embedder->preparer().picture_problem().empty();
  for (const Item& item : items) {
    if (!item.images.empty() && !takes_images) {
      throw InputError("this server's model cannot take pictures");
    }
  }
  EmbeddedItems embedded = batcher->embed(items, options, call.client_gone);
  for (const std::vector<float>& vector : embedded.vectors) {
    // JSON would call them null, and a collection would keep them.
    if (!is_finite(vector)) throw Error("the model's vector has values that are no numbers");
  }
  return embedded;
}

HttpAnswer json_answer(const Json& json, int status) {
  return {.status = status,
          .content_type = "application/json",
          .body = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

HttpAnswer error_answer(int status, std::string_view message, std::string_view type,
                        std::string_view code) {
  return json_answer(
      {{"error", {{"message", message}, {"type", type}, {"param", nullptr}, {"code", code}}}},
      status);
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
  try {
    return parse_json(call.body, "body");
  } catch (const FormatError& error) {
    throw InputError(error.what());
  }
}

std::string sha256(std::string_view text) {
  Digest digest(DigestKind::kSha256, text.size());
  digest.update(text);
  return digest.finish();
}

}  // namespace e5v::detail
