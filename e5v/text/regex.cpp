#include "e5v/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string>

#include "e5v/base/error.h"
#include "e5v/base/utf8.h"

namespace e5v::detail {
namespace {

constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackMax = 16 * 1024 * 1024;

/// Rewrites the escapes whose meaning differs between Oniguruma and PCRE2.
std::string to_pcre2(std::string_view pattern) {
  std::string result;
  bool in_class = false;
  for (size_t at = 0; at < pattern.size(); ++at) {
    const char c = pattern[at];
    if (c == '\\' && at + 1 < pattern.size()) {
      const char escaped = pattern[++at];
      // PCRE2's \s holds U+180E, and its \w neither marks nor most of Alphabetic.
      if (escaped == 's') {
        result += "\\p{White_Space}";
      } else if (escaped == 'S') {
        result += "\\P{White_Space}";
      } else if (escaped == 'w') {
        constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";
        result += in_class ? std::string(kWord) : fmt::format("[{}]", kWord);
      } else if (escaped == 'W' && !in_class) {
        result += "[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
      } else if (escaped == 'h') {  // a hexadecimal digit there, horizontal space here
        result += in_class ? "0-9a-fA-F" : "[0-9a-fA-F]";
      } else if (escaped == 'H' || (escaped == 'W' && in_class)) {
        throw ConfigError(
            fmt::format("'\\{}' at position {} of the pattern is not supported", escaped, at - 1));
      } else {
        result += c;
        result += escaped;
      }
      continue;
    }
    if (in_class) {
      if (c == ']') in_class = false;
      if ((c == '[' && pattern.substr(at, 2) != "[:") || pattern.substr(at, 2) == "&&") {
        throw ConfigError(fmt::format(
            "a character class inside another at position {} of the pattern is not supported", at));
      }
      if (pattern.substr(at, 2) == "[:") {
        const size_t end = pattern.find(":]", at + 2);
        if (end == std::string_view::npos) {
          throw ConfigError(fmt::format("'[:' at position {} of the pattern has no ':]'", at));
        }
        result += pattern.substr(at, end + 2 - at);
        at = end + 1;
        continue;
      }
    } else if (c == '[') {
      in_class = true;
      // A ']' that stands first in a class is an ordinary character.
      result += c;
      if (pattern.substr(at + 1, 1) == "^") result += pattern[++at];
      if (pattern.substr(at + 1, 1) == "]") {
        result += "\\]";
        ++at;
      }
      continue;
    }
    result += c;
  }
  return result;
}

std::string pcre2_message(int code) {
  PCRE2_UCHAR message[256];
  if (pcre2_get_error_message(code, message, sizeof(message)) < 0) return std::to_string(code);
  return reinterpret_cast<const char*>(message);
}

/// What one thread needs to match; made at its first match.
struct MatchState {
  MatchState()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        jit_stack(pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr)) {
    if (data == nullptr || context == nullptr || jit_stack == nullptr) throw std::bad_alloc();
    pcre2_jit_stack_assign(context, nullptr, jit_stack);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
  ~MatchState() {
    pcre2_jit_stack_free(jit_stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }

  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* jit_stack;
};

}  // namespace

struct Regex::Code {
  explicit Code(pcre2_code* compiled_code) : compiled(compiled_code) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(compiled); }

  pcre2_code* compiled;
};

Regex::Regex(std::string_view pattern) {
  const std::string translated = to_pcre2(pattern);
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                    &error_offset, nullptr);
  if (compiled == nullptr) {
    throw ConfigError(fmt::format("pattern '{}' is not understood: {}", printable(pattern),
                                  pcre2_message(error)));
  }
  code_ = std::make_unique<Code>(compiled);
  // Without JIT on this processor PCRE2 interprets: slower, same matches.
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
}

Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

void Regex::find_all(std::string_view text, std::vector<TextRange>& matches) const {
  thread_local MatchState state;
  matches.clear();
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t at = 0;
  while (at <= text.size()) {
    const int count = pcre2_match(code_->compiled, subject, text.size(), at, PCRE2_NO_UTF_CHECK,
                                  state.data, state.context);
    if (count == PCRE2_ERROR_NOMATCH) return;
    if (count < 0) {
      throw InputError(
          fmt::format("cannot split the text at byte {}: {}", at, pcre2_message(count)));
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(state.data);
    const size_t begin = range[0];
    const size_t end = range[1];
    const bool empty_behind_match = begin == end && !matches.empty() && matches.back().end == begin;
    if (!empty_behind_match) matches.push_back({begin, end});
    at = end;
    if (begin == end) at += end < text.size() ? next_utf8(text, end).size : 1;
  }
}

}  // namespace e5v::detail
