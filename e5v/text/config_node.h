#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"

namespace e5v::detail {

/// A value inside a tokenizer.json that knows where it stands, so that every complaint names the
/// file and the JSON path (`normalizer.normalizers[1].pattern`). Refers to the Json and the source
/// name, which must outlive it.
///
/// Each getter throws FormatError where the field is absent (and has no fallback) or has another
/// type. A field that is null counts as absent.
class ConfigNode {
 public:
  ConfigNode(const Json& value, std::string_view source, std::string path);

  bool is_null() const { return value_->is_null(); }
  const std::string& path() const { return path_; }
  std::string_view source() const { return source_; }

  bool has(const std::string& key) const;
  ConfigNode at(const std::string& key) const;
  std::string string(const std::string& key) const;
  std::string string_or(const std::string& key, std::string fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;
  /// A whole number in [0, max].
  uint32_t count(const std::string& key, uint32_t max) const;
  /// The elements of the array `key`.
  std::vector<ConfigNode> items(const std::string& key) const;
  /// The elements of this array.
  std::vector<ConfigNode> items() const;
  /// This value, which must be a string or a whole number in [0, max].
  std::string as_string() const;
  uint32_t as_count(uint32_t max) const;
  /// The keys of this object.
  std::vector<std::string> keys() const;

  /// Throws FormatError: `source: path: problem`.
  [[noreturn]] void fail(std::string_view problem) const;
  /// Throws FormatError for a `type` that this program does not know.
  [[noreturn]] void fail_unsupported(std::string_view kind) const;

 private:
  std::string child_path(const std::string& key) const;

  const Json* value_;
  std::string_view source_;
  std::string path_;
};

}  // namespace e5v::detail
