#include "e5v/eval/language_head.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/families/registry.h"
#include "e5v/nn/stored_tensor.h"

namespace e5v::detail {
namespace {

std::string find_head(const Checkpoint& checkpoint, const std::filesystem::path& model_dir) {
  const auto architecture = load_architecture(model_dir);
  const WeightNames& names = architecture->weight_names();
  // A head that shares the embedding table is not stored again.
  for (const std::string& wanted : {names.lm_head, names.embed_tokens}) {
    const auto name = names.find_stored(checkpoint.names(), wanted);
    if (name && checkpoint.find(*name)->shape.size() == 2) return *name;
  }
  throw FormatError(model_dir.native(), fmt::format("has no head, expected '{}'", names.lm_head));
}

}  // namespace

LanguageHead::LanguageHead(const std::filesystem::path& model_dir)
    : checkpoint_(Checkpoint::open(model_dir)),
      tokenizer_(Tokenizer::load(model_dir)),
      weight_(find_head(checkpoint_, model_dir)) {}

std::vector<Word> LanguageHead::top_words(std::span<const float> state, int64_t count) const {
  constexpr int64_t kRows = 8192;  // of the weight, widened at a time
  const at::NoGradGuard no_grad;
  const at::Tensor weight = view_stored(*checkpoint_.find(weight_));  // [V, D]
  if (weight.size(1) != static_cast<int64_t>(state.size())) {
    throw InputError(fmt::format("a state has {} dimensions, but the head takes {}", state.size(),
                                 weight.size(1)));
  }
  const at::Tensor x = at::tensor(c10::ArrayRef<float>(state.data(), state.size()));
  std::vector<at::Tensor> parts;
  for (int64_t row = 0; row < weight.size(0); row += kRows) {
    const int64_t rows = std::min(kRows, weight.size(0) - row);
    parts.push_back(at::mv(weight.narrow(0, row, rows).to(at::kFloat), x));
  }
  const at::Tensor logits = at::cat(parts);
  const auto [values, ids] =
      at::softmax(logits, 0).topk(std::clamp<int64_t>(count, 0, logits.size(0)));
  std::vector<Word> words;
  for (int64_t i = 0; i < values.size(0); ++i) {
    Word& word = words.emplace_back();
    word.id = ids[i].item<int64_t>();
    word.probability = values[i].item<double>();
    // Tables are often longer than the vocabulary.
    const bool is_known = tokenizer_.id_to_token(word.id).has_value();
    word.text =
        is_known ? tokenizer_.decode(std::vector<int64_t>{word.id}) : fmt::format("<{}>", word.id);
  }
  return words;
}

}  // namespace e5v::detail
