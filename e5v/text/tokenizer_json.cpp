#include "e5v/text/tokenizer_json.h"

#include "e5v/text/vocabulary.h"

namespace e5v::detail {
namespace {

constexpr size_t kMaxDepth = 200;

/// Receives the events of nlohmann's parser: vocab and merges go into their tables, the rest into a
/// DOM.
class TokenizerJsonReader : public nlohmann::json_sax<Json> {
 public:
  TokenizerJsonReader(std::string_view source, TokenizerJson& result)
      : source_(source), result_(result) {}

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return scalar(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (table_ != Table::kVocab) return scalar(value);
    if (value > Vocabulary::kMaxId) {
      fail(fmt::format("model.vocab['{}']: id {} is above {}", printable(key_), value,
                       Vocabulary::kMaxId));
    }
    result_.vocab.push_back({keep(key_), static_cast<uint32_t>(value)});
    return true;
  }
  bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
  bool binary(binary_t&) override { return false; }

  bool string(string_t& value) override {
    if (table_ == Table::kMerges) {
      add_merge_line(value);
    } else if (table_ == Table::kMergePair) {
      if (pair_size_ == 2) fail_merge("has more than two parts");
      pair_[pair_size_++] = keep(value);
    } else {
      scalar(std::move(value));
    }
    return true;
  }

  bool key(string_t& value) override {
    key_ = std::move(value);
    return true;
  }

  bool start_object(size_t) override {
    if (table_ != Table::kNone) fail_entry("an object");
    if (is_model_field("vocab")) {
      begin_table(Table::kVocab, result_.has_vocab, "vocab");
      return true;
    }
    return open(Json::object());
  }

  bool start_array(size_t) override {
    if (table_ == Table::kMerges) {
      table_ = Table::kMergePair;
      pair_size_ = 0;
      return true;
    }
    if (table_ != Table::kNone) fail_entry("an array");
    if (is_model_field("merges")) {
      begin_table(Table::kMerges, result_.has_merges, "merges");
      return true;
    }
    return open(Json::array());
  }

  bool end_object() override {
    if (table_ == Table::kVocab) {
      table_ = Table::kNone;
    } else {
      open_.pop_back();
    }
    return true;
  }

  bool end_array() override {
    if (table_ == Table::kMergePair) {
      if (pair_size_ != 2) fail_merge("has fewer than two parts");
      result_.merges.push_back({pair_[0], pair_[1]});
      table_ = Table::kMerges;
    } else if (table_ == Table::kMerges) {
      table_ = Table::kNone;
    } else {
      open_.pop_back();
    }
    return true;
  }

  bool parse_error(size_t, const std::string&, const Json::exception&) override { return false; }

 private:
  enum class Table { kNone, kVocab, kMerges, kMergePair };

  struct Level {
    Json* value;
    std::string name;  // the key of this value in its object
  };

  [[noreturn]] void fail(std::string_view problem) const { throw FormatError(source_, problem); }

  [[noreturn]] void fail_merge(std::string_view problem) const {
    fail(fmt::format("model.merges[{}] {}, expected \"left right\" or [\"left\", \"right\"]",
                     result_.merges.size(), problem));
  }

  [[noreturn]] void fail_entry(std::string_view kind) const {
    if (table_ == Table::kVocab) {
      fail(fmt::format("model.vocab['{}'] is {}, expected an id (a whole number)", printable(key_),
                       kind));
    }
    fail_merge(fmt::format("is or holds {}", kind));
  }

  bool is_model_field(std::string_view name) const {
    return open_.size() == 2 && open_[1].name == "model" && open_[1].value->is_object() &&
           key_ == name;
  }

  void begin_table(Table table, bool& seen, std::string_view name) {
    if (seen) fail(fmt::format("model.{} occurs twice", name));
    seen = true;
    table_ = table;
  }

  TokenizerJson::Slice keep(std::string_view text) {
    if (result_.bytes.size() + text.size() > UINT32_MAX)
      fail("model holds more than 4 GiB of text");
    const TokenizerJson::Slice slice{static_cast<uint32_t>(result_.bytes.size()),
                                     static_cast<uint32_t>(text.size())};
    result_.bytes += text;
    return slice;
  }

  void add_merge_line(std::string_view line) {
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
      fail_merge(fmt::format("is '{}'", printable(line)));
    }
    const TokenizerJson::Slice left = keep(line.substr(0, space));
    result_.merges.push_back({left, keep(line.substr(space + 1))});
  }

  bool scalar(Json value) {
    if (table_ != Table::kNone)
      fail_entry(value.dump(-1, ' ', false, Json::error_handler_t::replace));
    add(std::move(value));
    return true;
  }

  Json* add(Json value) {
    if (open_.empty()) {
      result_.rest = std::move(value);
      return &result_.rest;
    }
    Json& parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  bool open(Json value) {
    if (open_.size() == kMaxDepth) {
      fail(fmt::format("JSON nested deeper than {} levels", kMaxDepth));
    }
    std::string name = key_;
    Json* added = add(std::move(value));
    open_.push_back({added, std::move(name)});
    return true;
  }

  std::string_view source_;
  TokenizerJson& result_;
  std::vector<Level> open_;
  std::string key_;
  Table table_ = Table::kNone;
  TokenizerJson::Slice pair_[2] = {};
  size_t pair_size_ = 0;
};

}  // namespace

TokenizerJson parse_tokenizer_json(std::string_view content, std::string_view source) {
  TokenizerJson result;
  TokenizerJsonReader reader(source, result);
  const bool holds_zero = content.find('\0') != std::string_view::npos;  // an end, to the parser
  if (holds_zero || !Json::sax_parse(content.begin(), content.end(), &reader)) {
    parse_json(content, source);  // fails at the same place, and says where it is
    throw FormatError(source, "not valid JSON");
  }
  if (!result.rest.is_object()) {
    throw FormatError(source, fmt::format("holds {}, expected an object with a 'model'",
                                          result.rest.type_name()));
  }
  return result;
}

}  // namespace e5v::detail
