#include "e5v/server/request_reader.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "e5v/base/base64.h"
#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

/// Where the shapes have what is to be embedded.
constexpr std::array<std::string_view, 10> kContentFields = {
    "input", "inputs", "messages", "text",      "texts",
    "image", "images", "content",  "documents", "contents"};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

bool starts_with_scheme(std::string_view url, std::string_view scheme) {
  return equal_ignoring_case(url.substr(0, scheme.size()), scheme);
}

/// `text` with %XX as bytes; what is no such escape stays.
std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const int lower = std::tolower(static_cast<unsigned char>(c));
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      decoded += static_cast<char>(16 * digit(text[i + 1]) + digit(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

/// The base64 of a data URL: data:[type][;parameter…];base64,DATA, its names in any case, its data
/// percent-encoded where a URL wants it.
std::string data_of_url(std::string_view url, const std::string& field) {
  constexpr std::string_view kMark = ";base64";
  const size_t comma = url.find(',');
  const std::string_view head = url.substr(0, comma);
  if (comma == std::string_view::npos || head.size() < kMark.size() ||
      !equal_ignoring_case(head.substr(head.size() - kMark.size()), kMark)) {
    throw InputError(fmt::format("'{}' is a data URL without ';base64,'", field));
  }
  return percent_decoded(url.substr(comma + 1));
}

/// A whole number, also one written as 5.0.
std::optional<int64_t> whole_number(const Json& value) {
  try {
    return json_as<int64_t>(value, "");
  } catch (const ConfigError&) {
    return std::nullopt;
  }
}

std::string range_text(int64_t least, int64_t most) {
  if (most == std::numeric_limits<int64_t>::max()) {
    return fmt::format("an integer of {} or more", least);
  }
  return fmt::format("an integer from {} to {}", least, most);
}

}  // namespace

void refuse_field(const std::string& field, std::string_view expected, const Json& got) {
  throw InputError(fmt::format("'{}' is {}, expected {}", field, json_excerpt(got), expected));
}

RequestReader::RequestReader(const Json& json, const WireLimits& limits, std::string place)
    : json_(json), limits_(limits), place_(std::move(place)) {
  if (!json.is_object()) refuse_field(place_.empty() ? "body" : place_, "a JSON object", json);
}

std::string RequestReader::name(std::string_view key) const {
  return place_.empty() ? std::string(key) : fmt::format("{}.{}", place_, key);
}

const Json* RequestReader::find(const char* key) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

const Json& RequestReader::require(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) throw InputError(fmt::format("'{}' is missing", name(key)));
  return *value;
}

std::optional<std::string> RequestReader::string(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  return parse_text(*value, name(key), limits_);
}

std::string RequestReader::string_or_empty(const char* key) const {
  return string(key).value_or("");
}

std::vector<std::string> RequestReader::strings(const char* key) const {
  std::vector<std::string> texts;
  const Json* values = find(key);
  if (values == nullptr) return texts;
  if (!values->is_array()) refuse_field(name(key), "a list of strings", *values);
  for (size_t i = 0; i < values->size(); ++i) {
    texts.push_back(parse_text((*values)[i], fmt::format("{}[{}]", name(key), i), limits_));
  }
  return texts;
}

bool RequestReader::flag(const char* key, bool fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) refuse_field(name(key), "true or false", *value);
  return value->get<bool>();
}

std::optional<int64_t> RequestReader::integer(const char* key, int64_t least, int64_t most) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number = whole_number(*value);
  if (!number || *number < least || *number > most) {
    refuse_field(name(key), range_text(least, most), *value);
  }
  return number;
}

std::vector<int64_t> RequestReader::integers(const char* key) const {
  std::vector<int64_t> numbers;
  const Json* values = find(key);
  if (values == nullptr) return numbers;
  if (!values->is_array()) refuse_field(name(key), "a list of integers", *values);
  for (size_t i = 0; i < values->size(); ++i) {
    const std::optional<int64_t> number = whole_number((*values)[i]);
    if (!number) refuse_field(fmt::format("{}[{}]", name(key), i), "an integer", (*values)[i]);
    numbers.push_back(*number);
  }
  return numbers;
}

double RequestReader::number(const char* key, double fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) refuse_field(name(key), "a number", *value);
  return value->get<double>();
}

void RequestReader::refuse_unknown(const Json& schema) const {
  const Json& known = schema.at("properties");
  for (const auto& [key, value] : json_.items()) {
    if (known.contains(key)) continue;
    std::string names;
    for (const auto& [field, unused] : known.items()) {
      names += (names.empty() ? "" : ", ") + field;
    }
    throw InputError(
        fmt::format("'{}' is no field here, known are {}", name(printable(key, 40)), names));
  }
}

void RequestReader::refuse_other_content(std::initializer_list<std::string_view> taken) const {
  for (const std::string_view field : kContentFields) {
    if (std::find(taken.begin(), taken.end(), field) != taken.end()) continue;
    const std::string key(field);
    if (find(key.c_str()) == nullptr) continue;
    std::string names;
    for (const std::string_view other : taken) {
      names += fmt::format("{}'{}'", names.empty() ? "" : " or ", other);
    }
    throw InputError(fmt::format("'{}' is not taken here, expected {}", key, names));
  }
}

std::string parse_text(const Json& value, const std::string& field, const WireLimits& limits) {
  if (!value.is_string()) refuse_field(field, "a string", value);
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > limits.max_text_bytes) {
    throw InputError(fmt::format("'{}' has {} bytes, at most {} are taken", field, text.size(),
                                 limits.max_text_bytes));
  }
  return text;
}

WireImage parse_image(const std::string& value, const std::string& field,
                      const WireLimits& limits) {
  WireImage image;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!starts_with_scheme(value, scheme)) continue;
    if (value.size() > 4096) throw InputError(fmt::format("'{}': the URL is too long", field));
    image.url = std::string(scheme) + value.substr(scheme.size());
    return image;
  }
  auto bytes = starts_with_scheme(value, "data:") ? decode_base64(data_of_url(value, field))
                                                  : decode_base64(value);
  if (!bytes || bytes->empty()) {
    throw InputError(
        fmt::format("'{}' is neither a data URL, nor valid base64, nor an http URL: '{}'", field,
                    printable(value, 40)));
  }
  if (bytes->size() > limits.max_image_bytes) {
    throw InputError(fmt::format("'{}' has {} bytes, at most {} are taken", field, bytes->size(),
                                 limits.max_image_bytes));
  }
  image.bytes = *std::move(bytes);
  return image;
}

void check_item_count(size_t count, const std::string& field, const WireLimits& limits) {
  if (count == 0) throw InputError(fmt::format("'{}' is empty", field));
  if (count > limits.max_items) {
    throw InputError(
        fmt::format("'{}' has {} items, at most {} are taken", field, count, limits.max_items));
  }
}

}  // namespace e5v::detail
