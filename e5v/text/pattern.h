#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "e5v/text/config_node.h"
#include "e5v/text/regex.h"

namespace e5v::detail {

/// What Split, Replace and their like look for: `{"String": …}` or `{"Regex": …}`.
/// Immutable and thread-safe.
class Pattern {
 public:
  explicit Pattern(std::string literal) : pattern_(std::move(literal)) {}
  explicit Pattern(Regex regex) : pattern_(std::move(regex)) {}
  /// Throws FormatError for another form, or a regular expression that is not understood.
  static Pattern from_config(const ConfigNode& config);

  /// As Regex::find_all. An empty literal matches nowhere.
  void find_all(std::string_view text, std::vector<TextRange>& matches) const;

 private:
  std::variant<std::string, Regex> pattern_;
};

}  // namespace e5v::detail
