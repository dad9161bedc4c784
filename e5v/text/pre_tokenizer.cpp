#include "e5v/text/pre_tokenizer.h"

#include <algorithm>
#include <string_view>

#include "e5v/base/utf8.h"
#include "e5v/text/pattern.h"
#include "e5v/text/unicode.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kWhitespacePattern = R"(\w+|[^\w\s]+)";

/// What becomes of the matches of a pattern.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior parse_behavior(const ConfigNode& config) {
  const std::string name = config.as_string();
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  config.fail(fmt::format("unknown behavior '{}'", printable(name)));
}

struct Part {
  TextRange range;
  bool is_match;
};

/// The matches and, between them, the rest; with `invert` their roles are exchanged.
void parts_of(TextRange word, const std::vector<TextRange>& matches, bool invert,
              std::vector<Part>& parts) {
  parts.clear();
  size_t done = word.begin;
  for (const TextRange& match : matches) {
    const TextRange range{word.begin + match.begin, word.begin + match.end};
    if (done < range.begin) parts.push_back({{done, range.begin}, invert});
    parts.push_back({range, !invert});
    done = range.end;
  }
  if (done < word.end) parts.push_back({{done, word.end}, invert});
}

void append_words(const std::vector<Part>& parts, Behavior behavior,
                  std::vector<TextRange>& words) {
  const size_t first = words.size();
  const auto push = [&](TextRange range) { words.push_back(range); };
  bool previous_match = false;
  switch (behavior) {
    case Behavior::kRemoved:
      for (const Part& part : parts) {
        if (!part.is_match) push(part.range);
      }
      break;
    case Behavior::kIsolated:
      for (const Part& part : parts) push(part.range);
      break;
    case Behavior::kContiguous:
      for (const Part& part : parts) {
        if (part.is_match == previous_match && words.size() > first) {
          words.back().end = part.range.end;
        } else {
          push(part.range);
        }
        previous_match = part.is_match;
      }
      break;
    case Behavior::kMergedWithPrevious:
      for (const Part& part : parts) {
        if (part.is_match && !previous_match && words.size() > first) {
          words.back().end = part.range.end;
        } else {
          push(part.range);
        }
        previous_match = part.is_match;
      }
      break;
    case Behavior::kMergedWithNext:
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        if (part->is_match && !previous_match && words.size() > first) {
          words.back().begin = part->range.begin;
        } else {
          push(part->range);
        }
        previous_match = part->is_match;
      }
      std::reverse(words.begin() + first, words.end());
      break;
  }
  words.erase(std::remove_if(words.begin() + first, words.end(),
                             [](TextRange range) { return range.begin == range.end; }),
              words.end());
}

class SequencePreTokenizer : public PreTokenizer {
 public:
  explicit SequencePreTokenizer(std::vector<std::unique_ptr<const PreTokenizer>> steps)
      : steps_(std::move(steps)) {}
  void split(PreTokenizedText& text) const override {
    for (const auto& step : steps_) step->split(text);
  }

 private:
  std::vector<std::unique_ptr<const PreTokenizer>> steps_;
};

class SplitPreTokenizer : public PreTokenizer {
 public:
  SplitPreTokenizer(Pattern pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void split(PreTokenizedText& text) const override {
    std::vector<TextRange> words;
    std::vector<TextRange> matches;
    std::vector<Part> parts;
    for (const TextRange& word : text.words) {
      const auto inside = std::string_view(text.text).substr(word.begin, word.end - word.begin);
      pattern_.find_all(inside, matches);
      parts_of(word, matches, invert_, parts);
      append_words(parts, behavior_, words);
    }
    text.words = std::move(words);
  }

 private:
  Pattern pattern_;
  Behavior behavior_;
  bool invert_;
};

/// Splits at single characters of a class.
class CharacterPreTokenizer : public PreTokenizer {
 public:
  CharacterPreTokenizer(bool (*is_match)(char32_t), Behavior behavior)
      : is_match_(is_match), behavior_(behavior) {}

  void split(PreTokenizedText& text) const override {
    std::vector<TextRange> words;
    std::vector<TextRange> matches;
    std::vector<Part> parts;
    for (const TextRange& word : text.words) {
      matches.clear();
      for (size_t at = word.begin; at < word.end;) {
        const Utf8Char c = next_utf8(text.text, at);
        if (is_match_(c.code_point)) {
          matches.push_back({at - word.begin, at - word.begin + c.size});
        }
        at += c.size;
      }
      parts_of(word, matches, false, parts);
      append_words(parts, behavior_, words);
    }
    text.words = std::move(words);
  }

 private:
  bool (*is_match_)(char32_t);
  Behavior behavior_;
};

/// Rewrites every word with `rewrite(word, is first of the input, out)`.
template <class Rewrite>
void rewrite_words(PreTokenizedText& text, Rewrite rewrite) {
  PreTokenizedText result;
  result.at_start = text.at_start;
  result.text.reserve(text.text.size() + text.text.size() / 2);
  result.words.reserve(text.words.size());
  for (const TextRange& word : text.words) {
    const size_t begin = result.text.size();
    rewrite(std::string_view(text.text).substr(word.begin, word.end - word.begin),
            text.at_start && word.begin == 0, result.text);
    result.words.push_back({begin, result.text.size()});
  }
  text = std::move(result);
}

class PrefixSpacePreTokenizer : public PreTokenizer {
 public:
  void split(PreTokenizedText& text) const override {
    rewrite_words(text, [](std::string_view word, bool, std::string& out) {
      if (!word.starts_with(' ')) out += ' ';
      out += word;
    });
  }
};

class MetaspacePreTokenizer : public PreTokenizer {
 public:
  enum class Prepend { kAlways, kFirst, kNever };

  MetaspacePreTokenizer(std::string replacement, Prepend prepend)
      : replacement_(std::move(replacement)), prepend_(prepend) {}

  void split(PreTokenizedText& text) const override {
    rewrite_words(text, [&](std::string_view word, bool first_of_input, std::string& out) {
      const bool wanted =
          prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && first_of_input);
      // A space becomes the replacement before its presence is tested.
      if (wanted && !word.starts_with(replacement_) && !word.starts_with(' ')) out += replacement_;
      for (const char c : word) {
        if (c == ' ') {
          out += replacement_;
        } else {
          out += c;
        }
      }
    });
  }

 private:
  std::string replacement_;
  Prepend prepend_;
};

using Steps = std::vector<std::unique_ptr<const PreTokenizer>>;

void add_metaspace(const ConfigNode& config, Steps& steps) {
  using Prepend = MetaspacePreTokenizer::Prepend;
  const std::string replacement = config.string_or("replacement", "\u2581");
  if (replacement.empty() || next_utf8(replacement, 0).size != replacement.size()) {
    config.at("replacement").fail("expected a single character");
  }
  const std::string scheme = config.string_or("prepend_scheme", "always");
  Prepend prepend = scheme == "first"   ? Prepend::kFirst
                    : scheme == "never" ? Prepend::kNever
                                        : Prepend::kAlways;
  if (prepend == Prepend::kAlways && scheme != "always") {
    config.at("prepend_scheme").fail(fmt::format("unknown scheme '{}'", printable(scheme)));
  }
  // The form written before prepend_scheme existed.
  if (!config.boolean_or("add_prefix_space", true)) prepend = Prepend::kNever;
  steps.push_back(std::make_unique<MetaspacePreTokenizer>(replacement, prepend));
  if (config.boolean_or("split", true)) {
    steps.push_back(std::make_unique<SplitPreTokenizer>(Pattern(replacement),
                                                        Behavior::kMergedWithNext, false));
  }
}

void add_byte_level(const ConfigNode& config, Steps& steps) {
  if (config.boolean_or("add_prefix_space", true)) {
    steps.push_back(std::make_unique<PrefixSpacePreTokenizer>());
  }
  if (config.boolean_or("use_regex", true)) {
    steps.push_back(std::make_unique<SplitPreTokenizer>(Pattern(Regex(kGpt2Pattern)),
                                                        Behavior::kIsolated, false));
  }
}

void add_steps(const ConfigNode& config, Steps& steps, bool& byte_level) {
  const std::string type = config.string("type");
  if (byte_level) config.fail("a pre-tokenizer after ByteLevel is not supported");
  if (type == "Sequence") {
    for (const ConfigNode& step : config.items("pretokenizers")) {
      add_steps(step, steps, byte_level);
    }
  } else if (type == "Split") {
    steps.push_back(std::make_unique<SplitPreTokenizer>(Pattern::from_config(config.at("pattern")),
                                                        parse_behavior(config.at("behavior")),
                                                        config.boolean_or("invert", false)));
  } else if (type == "ByteLevel") {
    add_byte_level(config, steps);
    byte_level = true;
  } else if (type == "Metaspace") {
    add_metaspace(config, steps);
  } else if (type == "Digits") {
    const bool individual = config.boolean_or("individual_digits", false);
    steps.push_back(std::make_unique<CharacterPreTokenizer>(
        is_numeric, individual ? Behavior::kIsolated : Behavior::kContiguous));
  } else if (type == "Punctuation") {
    const ConfigNode behavior = config.at("behavior");
    steps.push_back(std::make_unique<CharacterPreTokenizer>(
        is_punctuation, behavior.is_null() ? Behavior::kIsolated : parse_behavior(behavior)));
  } else if (type == "Whitespace") {
    steps.push_back(std::make_unique<SplitPreTokenizer>(Pattern(Regex(kWhitespacePattern)),
                                                        Behavior::kRemoved, true));
  } else if (type == "WhitespaceSplit") {
    steps.push_back(std::make_unique<CharacterPreTokenizer>(is_white_space, Behavior::kRemoved));
  } else {
    config.fail_unsupported("a pre-tokenizer");
  }
}

}  // namespace

PreTokenizerAndLevel make_pre_tokenizer(const ConfigNode& config) {
  Steps steps;
  PreTokenizerAndLevel result;
  if (!config.is_null()) add_steps(config, steps, result.byte_level);
  result.pre_tokenizer = std::make_unique<SequencePreTokenizer>(std::move(steps));
  return result;
}

}  // namespace e5v::detail
