#pragma once

#include <string>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/server/request_reader.h"
#include "e5v/server/wire_types.h"

namespace e5v::detail {

/// One thing to embed: a string, token ids, a part ({"type": …}), or an object with `text`,
/// `image`, or parts in `content`. `field` names it in errors.
/// This and the following throw InputError.
WireItem parse_item(const Json& input, const std::string& field, const WireLimits& limits);

/// A string or token ids, or a list of what parse_item takes. Parts in a list are one item
/// together.
std::vector<WireItem> parse_items(const Json& input, const std::string& field,
                                  const WireLimits& limits);

/// A list of what parse_item takes, one item each.
std::vector<WireItem> parse_item_list(const Json& list, const std::string& field,
                                      const WireLimits& limits);

/// A picture by itself: a string, or {"url": string} as OpenAI's image_url is.
WireItem parse_image_item(const Json& image, const std::string& field, const WireLimits& limits);

/// True of a list of messages, {"role": …}, or a list of such lists.
bool is_conversation(const Json& json);

/// Conversations: what its user's messages hold is one item each.
struct WireConversations {
  std::vector<WireItem> items;
  std::string system;  ///< the words of the system, which all have in common
};
WireConversations parse_conversations(const Json& messages, const std::string& field,
                                      const WireLimits& limits);

}  // namespace e5v::detail
