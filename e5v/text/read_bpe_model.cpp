#include "e5v/text/read_bpe_model.h"

#include <algorithm>
#include <array>

#include "e5v/text/byte_level.h"
#include "e5v/text/config_node.h"

namespace e5v::detail {
namespace {

/// Two bytes that no UTF-8 contains, in front of a token that has no byte-level reading.
constexpr std::string_view kUnmapped = "\xff\xfe";

Vocabulary build_vocabulary(const TokenizerJson& json, bool byte_level, std::string_view source) {
  Vocabulary vocabulary(json.vocab.size());
  for (const TokenizerJson::VocabEntry& entry : json.vocab) {
    const std::string_view spelled = json.view(entry.token);
    if (!vocabulary.add(vocabulary_key(spelled, byte_level), entry.id)) {
      throw FormatError(source,
                        fmt::format("model.vocab['{}']: the token or its id {} occurs twice",
                                    printable(spelled), entry.id));
    }
  }
  return vocabulary;
}

/// Resolves the merges' tokens. Works in blocks, and within one goes over all merges once for each
/// look-up: most of a look-up's time is one cache line's way from memory, which `prefetch` hides.
class MergeResolver {
 public:
  MergeResolver(const TokenizerJson& json, const Vocabulary& vocabulary, const BpeOptions& options,
                std::string_view source)
      : json_(json), vocabulary_(vocabulary), options_(options), source_(source) {}

  std::vector<BpeModel::Merge> resolve() {
    merges_.resize(json_.merges.size());
    for (size_t begin = 0; begin < merges_.size(); begin += kBlock) {
      resolve_block(begin, std::min(begin + kBlock, merges_.size()));
    }
    return std::move(merges_);
  }

 private:
  static constexpr size_t kBlock = 64;

  void resolve_block(size_t begin, size_t end) {
    for (size_t rank = begin; rank < end; ++rank) {
      const TokenizerJson::MergeEntry& entry = json_.merges[rank];
      left_[rank - begin] = key_of(entry.left);
      right_[rank - begin] = key_of(entry.right);
    }
    for (size_t rank = begin; rank < end; ++rank) {
      std::string& left = left_[rank - begin];
      std::string_view right = right_[rank - begin];
      merges_[rank].rank = static_cast<uint32_t>(rank);
      merges_[rank].left = part(left, rank);
      merges_[rank].right = part(right, rank);
      if (right.starts_with(options_.continuing_subword_prefix)) {
        right.remove_prefix(options_.continuing_subword_prefix.size());
      }
      left += right;
      vocabulary_.prefetch(left);
    }
    for (size_t rank = begin; rank < end; ++rank) {
      const std::string& whole = left_[rank - begin];
      const auto merged = vocabulary_.find(whole);
      if (!merged) {
        fail(rank, fmt::format(" makes '{}', which",
                               printable(token_spelling(whole, options_.byte_level))));
      }
      merges_[rank].merged = *merged;
    }
  }

  std::string key_of(TokenizerJson::Slice spelled) const {
    std::string key = vocabulary_key(json_.view(spelled), options_.byte_level);
    vocabulary_.prefetch(key);
    return key;
  }

  uint32_t part(std::string_view key, size_t rank) const {
    const auto id = vocabulary_.find(key);
    if (!id || key.empty()) {
      fail(rank, fmt::format(": '{}'", printable(token_spelling(key, options_.byte_level))));
    }
    return *id;
  }

  [[noreturn]] void fail(size_t rank, std::string_view what) const {
    throw FormatError(source_, fmt::format("model.merges[{}]{} is not in model.vocab", rank, what));
  }

  const TokenizerJson& json_;
  const Vocabulary& vocabulary_;
  const BpeOptions& options_;
  std::string_view source_;
  std::vector<BpeModel::Merge> merges_;
  std::array<std::string, kBlock> left_;
  std::array<std::string, kBlock> right_;
};

}  // namespace

BpeModel read_bpe_model(const TokenizerJson& json, bool byte_level, std::string_view source) {
  const ConfigNode model = ConfigNode(json.rest, source, "").at("model");
  if (model.is_null()) model.fail("is missing");
  // Old files have no type; the two tables tell.
  const std::string type = model.string_or("type", "BPE");
  if (type != "BPE") model.fail_unsupported("a model");
  // Only a table of the right kind has been taken out; whatever stands there instead is refused.
  if (!json.has_vocab) model.at("vocab").keys();
  if (!json.has_merges) model.items("merges");
  if (model.has("dropout") && json.rest["model"]["dropout"] != 0) {
    model.at("dropout").fail("makes ids random and is not supported");
  }

  BpeOptions options;
  options.byte_level = byte_level;
  options.fuse_unk = model.boolean_or("fuse_unk", false);
  options.byte_fallback = model.boolean_or("byte_fallback", false);
  options.ignore_merges = model.boolean_or("ignore_merges", false);
  options.continuing_subword_prefix = model.string_or("continuing_subword_prefix", "");
  options.end_of_word_suffix = model.string_or("end_of_word_suffix", "");
  if (byte_level && options.byte_fallback) {
    model.at("byte_fallback").fail("is not supported together with a ByteLevel pre-tokenizer");
  }
  Vocabulary vocabulary = build_vocabulary(json, byte_level, source);
  if (const std::string unk = model.string_or("unk_token", ""); !unk.empty()) {
    options.unk_id = vocabulary.find(vocabulary_key(unk, byte_level));
    if (!options.unk_id) {
      model.at("unk_token").fail(fmt::format("'{}' is not in model.vocab", printable(unk)));
    }
  }
  const auto merges = MergeResolver(json, vocabulary, options, source).resolve();
  return BpeModel(std::move(vocabulary), merges, std::move(options));
}

std::string vocabulary_key(std::string_view spelled, bool byte_level) {
  if (!byte_level) return std::string(spelled);
  auto bytes = from_byte_level(spelled);
  return bytes ? *std::move(bytes) : fmt::format("{}{}", kUnmapped, spelled);
}

std::string token_spelling(std::string_view key, bool byte_level) {
  if (!byte_level) return std::string(key);
  if (key.starts_with(kUnmapped)) return std::string(key.substr(kUnmapped.size()));
  return to_byte_level(key);
}

}  // namespace e5v::detail
