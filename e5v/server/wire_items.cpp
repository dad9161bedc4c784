#include "e5v/server/wire_items.h"

#include <algorithm>
#include <initializer_list>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

/// An item that is put together from texts, pictures and parts.
class ItemBuilder {
 public:
  explicit ItemBuilder(const WireLimits& limits) : limits_(limits) {}

  void add_text(const Json& value, const std::string& field) {
    add_text(parse_text(value, field, limits_));
  }
  void add_image(const Json& value, const std::string& field) {
    const Json& url = value.is_object() && value.contains("url") ? value["url"] : value;
    if (!url.is_string()) refuse_field(field, "a URL or base64", value);
    add_image(parse_image(url.get_ref<const std::string&>(), field, limits_), field);
  }
  /// {"type": "text" | "image_url" | "image_base64" | "image", …}, or a string.
  void add_part(const Json& part, const std::string& field);
  void add_item(WireItem item, const std::string& field) {
    if (item.text) add_text(*std::move(item.text));
    for (WireImage& image : item.images) add_image(std::move(image), field);
  }

  /// Throws InputError if nothing was added.
  WireItem finish(const std::string& field) {
    if (is_empty()) throw InputError(fmt::format("'{}' has neither a text nor an image", field));
    return std::move(item_);
  }
  bool is_empty() const { return !item_.text && item_.images.empty(); }
  WireItem take() { return std::move(item_); }

 private:
  void add_text(std::string text) {
    if (text.empty()) return;
    item_.text = item_.text ? *item_.text + "\n" + text : std::move(text);
  }
  void add_image(WireImage image, const std::string& field) {
    if (item_.images.size() == limits_.max_images_per_item) {
      throw InputError(
          fmt::format("'{}': more than {} images in one item", field, limits_.max_images_per_item));
    }
    item_.images.push_back(std::move(image));
  }

  const WireLimits& limits_;
  WireItem item_;
};

void ItemBuilder::add_part(const Json& part, const std::string& field) {
  if (part.is_string()) return add_text(part, field);
  if (!part.is_object() || !part.contains("type")) {
    refuse_field(field, "a part with a 'type'", part);
  }
  const std::string type = parse_text(part["type"], field + ".type", limits_);
  const auto content = [&](std::initializer_list<const char*> keys) -> const Json& {
    for (const char* key : keys) {
      if (part.contains(key)) return part[key];
    }
    throw InputError(fmt::format("'{}.{}' is missing", field, *keys.begin()));
  };
  if (type == "text" || type == "input_text") {
    add_text(content({"text"}), field + ".text");
  } else if (type == "image_url" || type == "input_image") {
    add_image(content({"image_url", "url"}), field + ".image_url");
  } else if (type == "image_base64" || type == "image") {
    add_image(content({"image_base64", "image", "data"}), field + ".image");
  } else {
    throw InputError(fmt::format("'{}.type' is '{}', expected text, image_url or image_base64",
                                 field, printable(type, 40)));
  }
}

std::vector<int64_t> token_ids_of(const Json& ids, const std::string& field) {
  std::vector<int64_t> result;
  for (const Json& id : ids) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX) refuse_field(field, "token ids", id);
    result.push_back(id.get<int64_t>());
  }
  if (result.size() > 1'000'000) throw InputError(fmt::format("'{}' is too long", field));
  return result;
}

/// {"text"}, {"image"}, both, or {"content": [part, …]}.
WireItem parse_object(const Json& input, const std::string& field, const WireLimits& limits) {
  ItemBuilder item(limits);
  for (const char* key : {"audio", "video", "audio_url", "video_url"}) {
    if (input.contains(key)) {
      throw InputError(fmt::format("'{}.{}': only texts and pictures are taken", field, key));
    }
  }
  if (input.contains("content") && !input["content"].is_null()) {
    const Json& content = input["content"];
    if (!content.is_array()) item.add_part(content, field + ".content");
    for (size_t i = 0; content.is_array() && i < content.size(); ++i) {
      item.add_part(content[i], fmt::format("{}.content[{}]", field, i));
    }
  }
  if (input.contains("text") && !input["text"].is_null()) {
    item.add_text(input["text"], field + ".text");
  }
  for (const char* key : {"image", "url", "bytes", "image_url"}) {
    if (!input.contains(key) || input[key].is_null()) continue;
    const Json& images = input[key];
    const std::string name = fmt::format("{}.{}", field, key);
    if (!images.is_array()) {
      item.add_image(images, name);
    } else {
      for (const Json& image : images) item.add_image(image, name);
    }
  }
  return item.finish(field);
}

bool is_part(const Json& json) { return json.is_object() && json.contains("type"); }
bool is_message(const Json& json) { return json.is_object() && json.contains("role"); }

/// The content of one message; nothing where it is empty.
WireItem parse_content(const Json& message, const std::string& field, const WireLimits& limits) {
  ItemBuilder item(limits);
  const auto found = message.find("content");
  if (found == message.end() || found->is_null()) return {};
  if (found->is_string()) {
    item.add_text(*found, field);
  } else if (found->is_array()) {
    for (size_t i = 0; i < found->size(); ++i) {
      item.add_part((*found)[i], fmt::format("{}[{}]", field, i));
    }
  } else {
    refuse_field(field, "a string or a list of parts", *found);
  }
  return item.take();
}

/// What the user's messages hold, and the words of the system.
std::pair<WireItem, std::string> parse_conversation(const Json& messages, const std::string& field,
                                                    const WireLimits& limits) {
  ItemBuilder item(limits);
  std::string system;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string name = fmt::format("{}[{}]", field, i);
    const Json& message = messages[i];
    if (!is_message(message) || !message["role"].is_string()) {
      refuse_field(name, "a message with a 'role'", message);
    }
    const std::string role = message["role"].get<std::string>();
    WireItem content = parse_content(message, name + ".content", limits);
    const bool is_empty = !content.text && content.images.empty();
    if (role == "user") {
      item.add_item(std::move(content), name);
    } else if ((role == "system" || role == "developer") && content.images.empty()) {
      system += content.text.value_or("");
    } else if (role != "assistant" || !is_empty) {
      refuse_field(name,
                   "messages of the user, words of the system, or an empty one of the assistant",
                   message);
    }
  }
  return {item.finish(field), system};
}

}  // namespace

WireItem parse_item(const Json& input, const std::string& field, const WireLimits& limits) {
  WireItem item;
  if (input.is_string()) {
    item.text = parse_text(input, field, limits);
  } else if (input.is_array() && !input.empty() && input[0].is_number()) {
    item.token_ids = token_ids_of(input, field);
  } else if (is_part(input)) {
    ItemBuilder part(limits);
    part.add_part(input, field);
    return part.finish(field);
  } else if (input.is_object()) {
    return parse_object(input, field, limits);
  } else {
    refuse_field(field, "a string, token ids, or an object with 'text' or 'image'", input);
  }
  return item;
}

std::vector<WireItem> parse_items(const Json& input, const std::string& field,
                                  const WireLimits& limits) {
  const bool is_list = input.is_array() && !(input.size() > 0 && input[0].is_number());
  if (!is_list) return {parse_item(input, field, limits)};
  check_item_count(input.size(), field, limits);
  if (!std::all_of(input.begin(), input.end(), is_part)) {
    return parse_item_list(input, field, limits);
  }
  ItemBuilder item(limits);
  for (size_t i = 0; i < input.size(); ++i) {
    item.add_part(input[i], fmt::format("{}[{}]", field, i));
  }
  return {item.finish(field)};
}

std::vector<WireItem> parse_item_list(const Json& list, const std::string& field,
                                      const WireLimits& limits) {
  if (!list.is_array()) refuse_field(field, "a list", list);
  check_item_count(list.size(), field, limits);
  std::vector<WireItem> items;
  for (size_t i = 0; i < list.size(); ++i) {
    items.push_back(parse_item(list[i], fmt::format("{}[{}]", field, i), limits));
  }
  return items;
}

WireItem parse_image_item(const Json& image, const std::string& field, const WireLimits& limits) {
  ItemBuilder item(limits);
  item.add_image(image, field);
  return item.take();
}

bool is_conversation(const Json& json) {
  if (!json.is_array() || json.empty()) return false;
  const Json& first = json[0];
  return is_message(first) || (first.is_array() && !first.empty() && is_message(first[0]));
}

WireConversations parse_conversations(const Json& messages, const std::string& field,
                                      const WireLimits& limits) {
  if (!messages.is_array() || messages.empty()) {
    refuse_field(field, "a list of messages", messages);
  }
  WireConversations conversations;
  if (!messages[0].is_array()) {
    auto [item, system] = parse_conversation(messages, field, limits);
    conversations.items.push_back(std::move(item));
    conversations.system = std::move(system);
    return conversations;
  }
  check_item_count(messages.size(), field, limits);
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string name = fmt::format("{}[{}]", field, i);
    if (!messages[i].is_array()) refuse_field(name, "a list of messages", messages[i]);
    auto [item, system] = parse_conversation(messages[i], name, limits);
    conversations.items.push_back(std::move(item));
    if (i > 0 && system != conversations.system) {
      throw InputError(fmt::format(
          "'{}': the words of the system differ from those before; send them apart", name));
    }
    conversations.system = std::move(system);
  }
  return conversations;
}

}  // namespace e5v::detail
