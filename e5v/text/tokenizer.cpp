#include "e5v/text/tokenizer.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "e5v/base/file.h"
#include "e5v/base/utf8.h"
#include "e5v/text/added_tokens.h"
#include "e5v/text/decoder.h"
#include "e5v/text/normalizer.h"
#include "e5v/text/post_processor.h"
#include "e5v/text/pre_tokenizer.h"
#include "e5v/text/read_bpe_model.h"
#include "e5v/text/tokenizer_json.h"

namespace e5v::detail {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;

/// Control tokens whatever their flags say: some files call `</s>` or `<image>` ordinary.
constexpr std::array<std::string_view, 5> kWellKnownControlTokens = {"<s>", "</s>", "<unk>",
                                                                     "<pad>", "<image>"};

/// What the files beside tokenizer.json say about tokens.
struct TokenizerConfig {
  /// `bos_token`, `eos_token`, `pad_token`, `unk_token`, `image_token`, … and the token's content.
  std::map<std::string, std::string> named_tokens;
  /// Those of `added_tokens_decoder`.
  std::vector<AddedToken> added_tokens;
};

AddedToken read_added_token(const ConfigNode& config, uint32_t id) {
  AddedToken token;
  token.id = id;
  token.content = config.string("content");
  if (token.content.empty()) config.at("content").fail("an added token must not be empty");
  token.special = config.boolean_or("special", false);
  token.single_word = config.boolean_or("single_word", false);
  token.lstrip = config.boolean_or("lstrip", false);
  token.rstrip = config.boolean_or("rstrip", false);
  token.normalized = config.boolean_or("normalized", !token.special);
  return token;
}

/// Adds what a tokenizer_config.json or special_tokens_map.json says.
void read_tokenizer_config(const Json& json, std::string_view source, TokenizerConfig& config) {
  const ConfigNode root(json, source, "");
  for (const std::string& key : root.keys()) {
    if (!key.ends_with("_token") || key.starts_with("add_") || !root.has(key)) continue;
    // Either the content, or an added token spelled out.
    if (json[key].is_string()) config.named_tokens.emplace(key, root.string(key));
    if (json[key].is_object()) config.named_tokens.emplace(key, root.at(key).string("content"));
  }
  if (!root.has("added_tokens_decoder")) return;
  const ConfigNode decoder = root.at("added_tokens_decoder");
  for (const std::string& key : decoder.keys()) {
    const bool digits =
        !key.empty() && key.size() <= 7 && key.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) decoder.fail(fmt::format("key '{}' is no id", printable(key)));
    config.added_tokens.push_back(
        read_added_token(decoder.at(key), static_cast<uint32_t>(std::stoul(key))));
  }
}

}  // namespace

struct Tokenizer::Impl {
  static std::shared_ptr<const Impl> make(std::string_view content, std::string_view source,
                                          const TokenizerConfig& config);

  Impl(const TokenizerJson& json, PreTokenizerAndLevel pre_tokenizer_and_level,
       std::string_view source);
  void add_token(AddedToken token, const ConfigNode& place);
  void finish(const TokenizerConfig& config);

  std::optional<uint32_t> find(std::string_view token) const;
  void encode_ordinary(const MarkedText& text, std::vector<int64_t>& ids) const;
  std::vector<int64_t> encode(const MarkedText& text, bool add_special_tokens) const;

  std::unique_ptr<const Normalizer> normalizer;
  std::unique_ptr<const PreTokenizer> pre_tokenizer;
  BpeModel model;
  std::unique_ptr<const Decoder> decoder;
  SpecialTokensAround around;
  std::map<uint32_t, AddedToken> added;  // a map, because the matchers hold pointers into it
  std::map<std::string, uint32_t, std::less<>> added_ids;
  AddedTokenMatcher raw_matcher;         // of tokens looked for in the text as given
  AddedTokenMatcher normalized_matcher;  // of those looked for in the normalized text
  SpecialTokenIds special_ids;
};

std::shared_ptr<const Tokenizer::Impl> Tokenizer::Impl::make(std::string_view content,
                                                             std::string_view source,
                                                             const TokenizerConfig& config) {
  const TokenizerJson json = parse_tokenizer_json(content, source);
  const ConfigNode root(json.rest, source, "");
  auto impl = std::make_shared<Impl>(json, make_pre_tokenizer(root.at("pre_tokenizer")), source);
  impl->finish(config);
  return impl;
}

Tokenizer::Impl::Impl(const TokenizerJson& json, PreTokenizerAndLevel pre_tokenizer_and_level,
                      std::string_view source)
    : pre_tokenizer(std::move(pre_tokenizer_and_level.pre_tokenizer)),
      model(read_bpe_model(json, pre_tokenizer_and_level.byte_level, source)) {
  const ConfigNode root(json.rest, source, "");
  normalizer = make_normalizer(root.at("normalizer"));
  decoder = make_decoder(root.at("decoder"));
  if (root.has("added_tokens")) {
    for (const ConfigNode& item : root.items("added_tokens")) {
      add_token(read_added_token(item, item.count("id", Vocabulary::kMaxId)), item);
    }
  }
  around = read_post_processor(root.at("post_processor"));
  for (const auto* ids : {&around.before, &around.after}) {
    for (const int64_t id : *ids) {
      const auto known = static_cast<uint32_t>(id);
      if (!added.contains(known) && !model.vocabulary().contains(known)) {
        root.at("post_processor").fail(fmt::format("adds id {}, which is in no vocabulary", id));
      }
    }
  }
}

void Tokenizer::Impl::add_token(AddedToken token, const ConfigNode& place) {
  const Vocabulary& vocabulary = model.vocabulary();
  const auto in_model = vocabulary.find(vocabulary_key(token.content, model.options().byte_level));
  if (in_model && *in_model != token.id) {
    place.fail(fmt::format("'{}' has id {}, but {} in model.vocab", printable(token.content),
                           token.id, *in_model));
  }
  if (!in_model && vocabulary.contains(token.id)) {
    place.fail(fmt::format("id {} of '{}' belongs to another token of model.vocab", token.id,
                           printable(token.content)));
  }
  const auto same_content = added_ids.find(token.content);
  const auto same_id = added.find(token.id);
  const bool other_id = same_content != added_ids.end() && same_content->second != token.id;
  if (other_id || (same_id != added.end() && same_id->second.content != token.content)) {
    place.fail(fmt::format("'{}' or its id {} occurs twice", printable(token.content), token.id));
  }
  added_ids.emplace(token.content, token.id);
  added.emplace(token.id, std::move(token));
}

std::optional<uint32_t> Tokenizer::Impl::find(std::string_view token) const {
  if (const auto found = added_ids.find(token); found != added_ids.end()) return found->second;
  return model.vocabulary().find(vocabulary_key(token, model.options().byte_level));
}

/// Decides which added tokens are control tokens and makes the matchers.
void Tokenizer::Impl::finish(const TokenizerConfig& config) {
  // tokenizer.json wins where the files disagree.
  for (const AddedToken& token : config.added_tokens) {
    if (!added.contains(token.id) && !added_ids.contains(token.content)) {
      added_ids.emplace(token.content, token.id);
      added.emplace(token.id, token);
    }
  }

  const auto id_of = [&](const std::string& name) -> std::optional<int64_t> {
    const auto named = config.named_tokens.find(name);
    if (named == config.named_tokens.end()) return std::nullopt;
    return find(named->second);
  };
  special_ids = {id_of("bos_token"), id_of("eos_token"), id_of("pad_token"), id_of("unk_token"),
                 id_of("image_token")};
  if (!special_ids.unk) special_ids.unk = model.options().unk_id;
  if (!special_ids.image) special_ids.image = find("<image>");

  std::set<std::string_view> control(kWellKnownControlTokens.begin(),
                                     kWellKnownControlTokens.end());
  for (const auto& [name, content] : config.named_tokens) control.insert(content);
  // Of two tokens with one normalized form the special one is found, as in the reference.
  for (const bool special : {true, false}) {
    for (auto& [id, token] : added) {
      if (token.special != special) continue;
      token.control = token.special || control.contains(token.content);
      if (token.control) model.mark_control(id);
      if (token.normalized) {
        MarkedText form{token.content, {}, 0, true};
        normalizer->normalize(form);
        normalized_matcher.add(form.text, &token);
      } else {
        raw_matcher.add(token.content, &token);
      }
    }
  }
}

void Tokenizer::Impl::encode_ordinary(const MarkedText& text, std::vector<int64_t>& ids) const {
  const bool allow_control = text.common_mark(0, text.text.size()) != 0;
  PreTokenizedText pre_tokenized{text.text, {{0, text.text.size()}}, text.at_start};
  pre_tokenizer->split(pre_tokenized);
  for (const TextRange& word : pre_tokenized.words) {
    model.encode(std::string_view(pre_tokenized.text).substr(word.begin, word.end - word.begin),
                 allow_control, ids);
  }
}

std::vector<int64_t> Tokenizer::Impl::encode(const MarkedText& text,
                                             bool add_special_tokens) const {
  std::vector<int64_t> ids;
  if (add_special_tokens) ids = around.before;
  for (const AddedTokenMatcher::Part& raw : raw_matcher.split(text)) {
    if (raw.token != nullptr) {
      ids.push_back(raw.token->id);
      continue;
    }
    MarkedText normalized = text.slice(raw.range);
    normalizer->normalize(normalized);
    for (const AddedTokenMatcher::Part& part : normalized_matcher.split(normalized)) {
      if (part.token != nullptr) {
        ids.push_back(part.token->id);
      } else {
        encode_ordinary(normalized.slice(part.range), ids);
      }
    }
  }
  if (add_special_tokens) ids.insert(ids.end(), around.after.begin(), around.after.end());
  return ids;
}

Tokenizer Tokenizer::from_json(std::string_view content, std::string_view source) {
  return Tokenizer(Impl::make(content, source, {}));
}

Tokenizer Tokenizer::load(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / "tokenizer.json";
  if (!std::filesystem::exists(path)) {
    const bool other_form = std::filesystem::exists(model_dir / "tokenizer.model");
    throw FileError(path.native(), "cannot open",
                    other_form ? "no such file; the folder's tokenizer.model alone is not enough, "
                                 "transformers' save_pretrained makes a tokenizer.json of it"
                               : "no such file; a model's folder must hold its tokenizer.json");
  }
  TokenizerConfig config;
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const std::filesystem::path beside = model_dir / name;
    if (std::filesystem::exists(beside)) {
      read_tokenizer_config(read_json(beside), beside.native(), config);
    }
  }
  const MappedFile file(path);
  const auto* bytes = reinterpret_cast<const char*>(file.bytes().data());
  return Tokenizer(Impl::make({bytes, file.bytes().size()}, path.native(), config));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const TextSpan span{text, options.allow_special};
  return encode(std::span(&span, 1), options.add_special_tokens);
}

std::vector<int64_t> Tokenizer::encode(std::span<const TextSpan> spans,
                                       bool add_special_tokens) const {
  MarkedText text;
  size_t size = 0;
  for (const TextSpan& span : spans) size += span.text.size();
  if (size > kMaxTextBytes) {
    throw InputError(
        fmt::format("text has {} bytes, at most {} can be tokenized", size, kMaxTextBytes));
  }
  const bool marked = spans.size() > 1;
  uint32_t number = 0;
  for (const TextSpan& span : spans) {
    ++number;
    text.text += span.text;
    const uint32_t mark = span.allow_special ? number : 0;
    if (marked) text.marks.resize(text.text.size(), mark);
    text.mark = mark;
  }
  const size_t invalid = find_invalid_utf8(text.text);
  if (invalid != std::string_view::npos) {
    throw InputError(fmt::format("text is not valid UTF-8 at byte {}", invalid));
  }
  return impl_->encode(text, add_special_tokens);
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    if (skip_special_tokens && id >= 0 && id <= Vocabulary::kMaxId) {
      const auto added = impl_->added.find(static_cast<uint32_t>(id));
      if (added != impl_->added.end() && added->second.special) continue;
    }
    auto token = id_to_token(id);
    if (!token) throw InputError(fmt::format("id {} is in no vocabulary", id));
    tokens.push_back(std::move(*token));
  }
  impl_->decoder->decode(tokens);
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

std::optional<int64_t> Tokenizer::token_to_id(std::string_view token) const {
  return impl_->find(token);
}

std::optional<std::string> Tokenizer::id_to_token(int64_t id) const {
  if (id < 0 || id > Vocabulary::kMaxId) return std::nullopt;
  const auto known = static_cast<uint32_t>(id);
  if (const auto added = impl_->added.find(known); added != impl_->added.end()) {
    return added->second.content;
  }
  const Vocabulary& vocabulary = impl_->model.vocabulary();
  if (!vocabulary.contains(known)) return std::nullopt;
  return token_spelling(vocabulary.token(known), impl_->model.options().byte_level);
}

int64_t Tokenizer::vocab_size() const {
  const int64_t model_size = impl_->model.vocabulary().end_id();
  if (impl_->added.empty()) return model_size;
  return std::max<int64_t>(model_size, int64_t{impl_->added.rbegin()->first} + 1);
}

const SpecialTokenIds& Tokenizer::special_token_ids() const { return impl_->special_ids; }

}  // namespace e5v::detail
