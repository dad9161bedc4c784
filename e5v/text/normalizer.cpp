#include "e5v/text/normalizer.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "e5v/base/utf8.h"
#include "e5v/text/pattern.h"
#include "e5v/text/unicode.h"

namespace e5v::detail {
namespace {

constexpr size_t kMaxRunBytes = 4096;

class SequenceNormalizer : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<std::unique_ptr<const Normalizer>> steps)
      : steps_(std::move(steps)) {}
  void normalize(MarkedText& text) const override {
    for (const auto& step : steps_) step->normalize(text);
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> steps_;
};

class UnicodeNormalizer : public Normalizer {
 public:
  explicit UnicodeNormalizer(const icu::Normalizer2* form) : form_(form) {}

  void normalize(MarkedText& text) const override {
    UErrorCode status = U_ZERO_ERROR;
    const icu::StringPiece whole(text.text.data(), static_cast<int32_t>(text.text.size()));
    if (form_->isNormalizedUTF8(whole, status) && U_SUCCESS(status)) return;
    MarkedTextWriter writer(text);
    // A character with a boundary before it never interacts with what precedes it, so the text is
    // normalized run by run and each run keeps its marks.
    for (size_t begin = 0; begin < text.text.size();) {
      size_t end = begin + next_utf8(text.text, begin).size;
      while (end < text.text.size()) {
        const Utf8Char c = next_utf8(text.text, end);
        if (form_->hasBoundaryBefore(static_cast<UChar32>(c.code_point))) break;
        end += c.size;
      }
      replace_run(text, begin, end, writer);
      begin = end;
    }
    text = writer.finish();
  }

 private:
  void replace_run(const MarkedText& text, size_t begin, size_t end,
                   MarkedTextWriter& writer) const {
    if (end - begin == 1) return writer.copy(begin, end);  // ASCII alone is in every form
    // ICU sorts marks by insertion, which a long enough run turns into minutes.
    if (end - begin > kMaxRunBytes) {
      throw InputError(
          fmt::format("{} bytes of combining characters follow each other, at most {} "
                      "can be normalized",
                      end - begin, kMaxRunBytes));
    }
    UErrorCode status = U_ZERO_ERROR;
    const auto run = icu::UnicodeString::fromUTF8(
        icu::StringPiece(text.text.data() + begin, static_cast<int32_t>(end - begin)));
    std::string normalized;
    form_->normalize(run, status).toUTF8String(normalized);
    E5V_ASSERT(U_SUCCESS(status));
    writer.replace(begin, end, normalized);
  }

  const icu::Normalizer2* form_;
};

/// Rewrites character by character.
class CharacterNormalizer : public Normalizer {
 public:
  /// Appends to its second argument what the character becomes.
  using Rewrite = std::function<void(char32_t, std::string&)>;
  explicit CharacterNormalizer(Rewrite rewrite) : rewrite_(std::move(rewrite)) {}

  void normalize(MarkedText& text) const override {
    MarkedTextWriter writer(text);
    std::string rewritten;
    for (size_t at = 0; at < text.text.size();) {
      const Utf8Char c = next_utf8(text.text, at);
      rewritten.clear();
      rewrite_(c.code_point, rewritten);
      writer.replace(at, at + c.size, rewritten);
      at += c.size;
    }
    text = writer.finish();
  }

 private:
  Rewrite rewrite_;
};

void lowercase(char32_t c, std::string& out) {
  // One character at a time, without the context rule for final sigma, as the reference does.
  if (c == 0x130) {  // İ is the only character whose lower case is two
    out += "i\xcc\x87";
  } else {
    append_utf8(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
  }
}

void strip_accent(char32_t c, std::string& out) {
  if (!is_mark(c)) append_utf8(out, c);
}

class ReplaceNormalizer : public Normalizer {
 public:
  ReplaceNormalizer(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void normalize(MarkedText& text) const override {
    std::vector<TextRange> matches;
    pattern_.find_all(text.text, matches);
    if (matches.empty()) return;
    MarkedTextWriter writer(text);
    size_t done = 0;
    for (const TextRange& match : matches) {
      writer.copy(done, match.begin);
      writer.replace(match.begin, match.end, content_);
      done = match.end;
    }
    writer.copy(done, text.text.size());
    text = writer.finish();
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}

  void normalize(MarkedText& text) const override {
    if (text.text.empty()) return;
    MarkedTextWriter writer(text);
    writer.replace(0, 0, prefix_);
    writer.copy(0, text.text.size());
    text = writer.finish();
  }

 private:
  std::string prefix_;
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}

  void normalize(MarkedText& text) const override {
    const size_t size = text.text.size();
    size_t from = size;  // the first character that is not white space
    size_t to = 0;       // behind the last one
    for (size_t at = 0; at < size;) {
      const Utf8Char c = next_utf8(text.text, at);
      if (!is_white_space(c.code_point)) {
        from = std::min(from, at);
        to = at + c.size;
      }
      at += c.size;
    }
    if (!left_) from = 0;
    if (!right_) to = size;
    to = std::max(from, to);
    text = text.slice({from, to});
  }

 private:
  bool left_;
  bool right_;
};

std::unique_ptr<const Normalizer> make_unicode_normalizer(const std::string& form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* instance = form == "NFC"    ? icu::Normalizer2::getNFCInstance(status)
                                     : form == "NFD"  ? icu::Normalizer2::getNFDInstance(status)
                                     : form == "NFKC" ? icu::Normalizer2::getNFKCInstance(status)
                                                      : icu::Normalizer2::getNFKDInstance(status);
  E5V_ASSERT(U_SUCCESS(status));
  return std::make_unique<UnicodeNormalizer>(instance);
}

}  // namespace

std::unique_ptr<const Normalizer> make_normalizer(const ConfigNode& config) {
  if (config.is_null()) {
    return std::make_unique<SequenceNormalizer>(std::vector<std::unique_ptr<const Normalizer>>{});
  }
  const std::string type = config.string("type");
  if (type == "Sequence") {
    std::vector<std::unique_ptr<const Normalizer>> steps;
    for (const ConfigNode& step : config.items("normalizers")) {
      steps.push_back(make_normalizer(step));
    }
    return std::make_unique<SequenceNormalizer>(std::move(steps));
  }
  if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    return make_unicode_normalizer(type);
  }
  if (type == "Lowercase") return std::make_unique<CharacterNormalizer>(lowercase);
  if (type == "StripAccents") return std::make_unique<CharacterNormalizer>(strip_accent);
  if (type == "Replace") {
    return std::make_unique<ReplaceNormalizer>(Pattern::from_config(config.at("pattern")),
                                               config.string("content"));
  }
  if (type == "Prepend") return std::make_unique<PrependNormalizer>(config.string("prepend"));
  if (type == "Strip") {
    return std::make_unique<StripNormalizer>(config.boolean_or("strip_left", true),
                                             config.boolean_or("strip_right", true));
  }
  config.fail_unsupported("a normalizer");
}

}  // namespace e5v::detail
