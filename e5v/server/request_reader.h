#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/server/wire_types.h"

namespace e5v::detail {

/// Reads the fields of one object of a request. Whatever is wrong with one is the caller's:
/// InputError that names it, says what it is, and what was expected. null is as good as absent.
class RequestReader {
 public:
  /// `place` of the object in the request, such as "documents[0]"; empty = the whole body. Both
  /// references are kept.
  RequestReader(const Json& json, const WireLimits& limits, std::string place = "");

  const Json* find(const char* key) const;
  const Json& require(const char* key) const;
  std::string string_or_empty(const char* key) const;
  std::optional<std::string> string(const char* key) const;
  std::vector<std::string> strings(const char* key) const;
  bool flag(const char* key, bool fallback) const;
  std::optional<int64_t> integer(const char* key, int64_t least,
                                 int64_t most = std::numeric_limits<int64_t>::max()) const;
  std::vector<int64_t> integers(const char* key) const;
  double number(const char* key, double fallback) const;

  /// Refuses fields that `schema` (of an object) does not list.
  void refuse_unknown(const Json& schema) const;
  /// Refuses fields in which other shapes have what is to be embedded: left out, they would be
  /// missed in the answer.
  void refuse_other_content(std::initializer_list<std::string_view> taken) const;

  const WireLimits& limits() const { return limits_; }

 private:
  /// A field as messages name it.
  std::string name(std::string_view key) const;

  const Json& json_;
  const WireLimits& limits_;
  std::string place_;
};

/// Throws InputError: "'field' is 5, expected a string".
[[noreturn]] void refuse_field(const std::string& field, std::string_view expected,
                               const Json& got);

/// A string within the limits; `field` names it in errors.
std::string parse_text(const Json& value, const std::string& field, const WireLimits& limits);

/// An image field: a data URL (RFC 2397) in base64, an http(s) URL, or bare base64.
WireImage parse_image(const std::string& value, const std::string& field, const WireLimits& limits);

/// Throws InputError unless there is one, and no more than are taken.
void check_item_count(size_t count, const std::string& field, const WireLimits& limits);

}  // namespace e5v::detail
