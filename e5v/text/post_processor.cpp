#include "e5v/text/post_processor.h"

#include "e5v/text/vocabulary.h"

namespace e5v::detail {
namespace {

SpecialTokensAround read_template(const ConfigNode& config) {
  SpecialTokensAround around;
  const ConfigNode special_tokens = config.at("special_tokens");
  bool behind_text = false;
  for (const ConfigNode& piece : config.items("single")) {
    if (piece.has("Sequence")) {
      if (behind_text) piece.fail("the text occurs twice in the template");
      behind_text = true;
      continue;
    }
    const std::string name = piece.at("SpecialToken").string("id");
    for (const ConfigNode& id : special_tokens.at(name).items("ids")) {
      (behind_text ? around.after : around.before).push_back(id.as_count(Vocabulary::kMaxId));
    }
  }
  if (!behind_text) config.at("single").fail("the template does not hold the text");
  return around;
}

/// `sep` and `cls`: each a pair of token and id.
SpecialTokensAround read_cls_sep(const ConfigNode& config) {
  const auto id_of = [&](const char* key) -> int64_t {
    const auto pair = config.items(key);
    if (pair.size() != 2) config.at(key).fail("expected a token and its id");
    return pair[1].as_count(Vocabulary::kMaxId);
  };
  return {{id_of("cls")}, {id_of("sep")}};
}

}  // namespace

SpecialTokensAround read_post_processor(const ConfigNode& config) {
  if (config.is_null()) return {};
  const std::string type = config.string("type");
  if (type == "TemplateProcessing") return read_template(config);
  if (type == "RobertaProcessing" || type == "BertProcessing") return read_cls_sep(config);
  if (type == "ByteLevel") return {};
  if (type == "Sequence") {
    SpecialTokensAround all;
    for (const ConfigNode& step : config.items("processors")) {
      const SpecialTokensAround around = read_post_processor(step);
      all.before.insert(all.before.begin(), around.before.begin(), around.before.end());
      all.after.insert(all.after.end(), around.after.begin(), around.after.end());
    }
    return all;
  }
  config.fail_unsupported("a post-processor");
}

}  // namespace e5v::detail
