#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace e5v::detail {

/// Bytes [begin, end) of a text.
struct TextRange {
  size_t begin;
  size_t end;

  bool operator==(const TextRange&) const = default;
};

/// A pattern of a tokenizer.json. Those are written for Oniguruma; here PCRE2 runs them, with
/// `\s`, `\w` and `\h` given Oniguruma's Unicode meaning.
///
/// Immutable and thread-safe.
class Regex {
 public:
  /// Throws ConfigError with the position in `pattern` where it is not understood. Character class
  /// operations (`[a&&b]`) and nested classes are refused, because PCRE2 would read them otherwise.
  explicit Regex(std::string_view pattern);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  /// All matches in `text` (valid UTF-8) from left to right, none overlapping, written over
  /// `matches`. An empty match directly behind another match does not count.
  /// Throws InputError where matching would take unreasonably long.
  void find_all(std::string_view text, std::vector<TextRange>& matches) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace e5v::detail
