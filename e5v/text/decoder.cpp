#include "e5v/text/decoder.h"

#include <optional>
#include <string_view>

#include "e5v/base/utf8.h"
#include "e5v/text/byte_level.h"
#include "e5v/text/pattern.h"

namespace e5v::detail {
namespace {

constexpr std::string_view kReplacementCharacter = "\ufffd";

/// `bytes` as UTF-8, each maximal piece of an invalid sequence shown as one U+FFFD.
std::string to_valid_utf8(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = next_utf8(bytes, at);
    if (c.valid) {
      text += bytes.substr(at, c.size);
      at += c.size;
      continue;
    }
    text += kReplacementCharacter;
    // A sequence that is cut short or breaks off counts once: skip what could have been its start.
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
    const uint8_t lead = byte(at);
    const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    size_t end = at + 1;
    if (lead >= 0xc2 && lead <= 0xf4) {
      // The second byte's range is narrower for the leads that would be overlong, surrogates or
      // beyond U+10FFFF.
      const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
      const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
      if (end < bytes.size() && byte(end) >= low && byte(end) <= high) {
        ++end;
        while (end < bytes.size() && end < at + size && (byte(end) & 0xc0) == 0x80) ++end;
      }
    }
    at = end;
  }
  return text;
}

void replace_all(std::string& text, const Pattern& pattern, std::string_view content) {
  std::vector<TextRange> matches;
  pattern.find_all(text, matches);
  if (matches.empty()) return;
  std::string result;
  size_t done = 0;
  for (const TextRange& match : matches) {
    result.append(text, done, match.begin - done);
    result += content;
    done = match.end;
  }
  result.append(text, done);
  text = std::move(result);
}

std::string join(const std::vector<std::string>& tokens) {
  std::string joined;
  for (const std::string& token : tokens) joined += token;
  return joined;
}

class SequenceDecoder : public Decoder {
 public:
  explicit SequenceDecoder(std::vector<std::unique_ptr<const Decoder>> steps)
      : steps_(std::move(steps)) {}
  void decode(std::vector<std::string>& tokens) const override {
    for (const auto& step : steps_) step->decode(tokens);
  }

 private:
  std::vector<std::unique_ptr<const Decoder>> steps_;
};

class SpaceDecoder : public Decoder {
 public:
  void decode(std::vector<std::string>& tokens) const override {
    for (size_t i = 1; i < tokens.size(); ++i) tokens[i] = std::string(" ").append(tokens[i]);
  }
};

class ByteLevelDecoder : public Decoder {
 public:
  void decode(std::vector<std::string>& tokens) const override {
    std::string bytes;
    // An added token may hold characters that stand for no byte: it stays as it is.
    for (const std::string& token : tokens) bytes += from_byte_level(token).value_or(token);
    tokens = {to_valid_utf8(bytes)};
  }
};

class MetaspaceDecoder : public Decoder {
 public:
  MetaspaceDecoder(std::string replacement, bool prepended)
      : space_(Pattern(std::move(replacement))), prepended_(prepended) {}

  void decode(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      replace_all(tokens[i], space_, i == 0 && prepended_ ? "" : " ");
    }
  }

 private:
  Pattern space_;
  bool prepended_;
};

class ByteFallbackDecoder : public Decoder {
 public:
  void decode(std::vector<std::string>& tokens) const override {
    std::vector<std::string> result;
    std::string bytes;
    const auto flush = [&] {
      if (find_invalid_utf8(bytes) == std::string_view::npos) {
        if (!bytes.empty()) result.push_back(bytes);
      } else {
        result.insert(result.end(), bytes.size(), std::string(kReplacementCharacter));
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = byte_of(token)) {
        bytes += *byte;
      } else {
        flush();
        result.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(result);
  }

 private:
  /// The byte that a token `<0xHH>` stands for.
  static std::optional<char> byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
    unsigned byte = 0;
    for (const char digit : token.substr(3, 2)) {
      const bool decimal = digit >= '0' && digit <= '9';
      const char lower = static_cast<char>(digit | 0x20);
      if (!decimal && (lower < 'a' || lower > 'f')) return std::nullopt;
      byte = byte * 16 + static_cast<unsigned>(decimal ? digit - '0' : lower - 'a' + 10);
    }
    return static_cast<char>(byte);
  }
};

class FuseDecoder : public Decoder {
 public:
  void decode(std::vector<std::string>& tokens) const override { tokens = {join(tokens)}; }
};

/// Removes up to `start` and `stop` copies of a character from each token's ends.
class StripDecoder : public Decoder {
 public:
  StripDecoder(std::string content, uint32_t start, uint32_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

  void decode(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (uint32_t i = 0; i < start_ && rest.starts_with(content_); ++i) {
        rest.remove_prefix(content_.size());
      }
      for (uint32_t i = 0; i < stop_ && rest.ends_with(content_); ++i) {
        rest.remove_suffix(content_.size());
      }
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  uint32_t start_;
  uint32_t stop_;
};

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void decode(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) replace_all(token, pattern_, content_);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class SuffixDecoder : public Decoder {
 public:
  explicit SuffixDecoder(std::string suffix) : suffix_(Pattern(std::move(suffix))) {}
  void decode(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      replace_all(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
    }
  }

 private:
  Pattern suffix_;
};

}  // namespace

std::unique_ptr<const Decoder> make_decoder(const ConfigNode& config) {
  if (config.is_null()) return std::make_unique<SpaceDecoder>();
  const std::string type = config.string("type");
  if (type == "Sequence") {
    std::vector<std::unique_ptr<const Decoder>> steps;
    for (const ConfigNode& step : config.items("decoders")) steps.push_back(make_decoder(step));
    return std::make_unique<SequenceDecoder>(std::move(steps));
  }
  if (type == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (type == "Metaspace") {
    const bool never = config.string_or("prepend_scheme", "always") == "never" ||
                       !config.boolean_or("add_prefix_space", true);
    return std::make_unique<MetaspaceDecoder>(config.string_or("replacement", "\u2581"), !never);
  }
  if (type == "ByteFallback") return std::make_unique<ByteFallbackDecoder>();
  if (type == "Fuse") return std::make_unique<FuseDecoder>();
  if (type == "Strip") {
    const std::string content = config.string("content");
    if (content.empty()) config.at("content").fail("expected a single character");
    return std::make_unique<StripDecoder>(content, config.count("start", UINT32_MAX),
                                          config.count("stop", UINT32_MAX));
  }
  if (type == "Replace") {
    return std::make_unique<ReplaceDecoder>(Pattern::from_config(config.at("pattern")),
                                            config.string("content"));
  }
  if (type == "BPEDecoder") {
    return std::make_unique<SuffixDecoder>(config.string_or("suffix", "</w>"));
  }
  config.fail_unsupported("a decoder");
}

}  // namespace e5v::detail
