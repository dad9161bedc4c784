#include "e5v/train/objectives/language.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/families/registry.h"
#include "e5v/train/whole_batch.h"

namespace e5v::detail {
namespace {

at::Tensor tensor_of(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

/// The sum over all ranks of a number of each.
double sum_over(ProcessGroup& group, double number) {
  return group.gather_rows(at::tensor({number}, at::kDouble)).sum().item<double>();
}

double sum_of(const std::vector<float>& weights) {
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

/// Sum of the targets' losses, each by its weight; a scalar.
at::Tensor weighted_loss(const at::Tensor& logits, const LanguageBatch& batch) {
  const at::Tensor losses =
      at::cross_entropy_loss(logits, tensor_of(batch.targets), {}, at::Reduction::None);
  return at::dot(losses, at::tensor(batch.weights, at::kFloat));
}

/// How many answers have, at each of their places, a right token as the likeliest.
int64_t count_right_answers(const at::Tensor& logits, const LanguageBatch& batch) {
  const at::Tensor likeliest = logits.argmax(1).contiguous();
  const int64_t* const said = likeliest.data_ptr<int64_t>();
  std::vector<bool> right(static_cast<size_t>(batch.num_answers), true);
  for (size_t i = 0; i < batch.rows.size();) {
    const auto answer = static_cast<size_t>(batch.answers[i]);
    const int64_t row = batch.rows[i];
    bool any = false;
    for (; i < batch.rows.size() && batch.rows[i] == row; ++i) {
      any = any || said[i] == batch.targets[i];
    }
    if (!any) right[answer] = false;
  }
  return std::count(right.begin(), right.end(), true);
}

/// A token to learn: at a place in its conversation, one of `num_choices` that are right there.
struct LearnedToken {
  int64_t place;
  int64_t id;
  int64_t turn;
  int64_t num_choices = 1;
};

struct Sequence {
  PreparedItem item;
  std::vector<LearnedToken> learned;
};

/// The only token of a word. Throws InputError if there are more.
int64_t single_token(const Tokenizer& tokenizer, const std::string& word) {
  const auto ids = tokenizer.encode(std::vector<TextSpan>{{word}}, /*add_special_tokens=*/false);
  if (ids.size() == 1) return ids[0];
  throw InputError(fmt::format("the answer '{}', one of several, is {} tokens, expected one",
                               printable(word, 40), ids.size()));
}

Sequence prepare_conversation(const Conversation& conversation, const ItemPreparer& preparer,
                              ChatTemplate chat) {
  const Tokenizer& tokenizer = preparer.tokenizer();
  const auto eos = tokenizer.special_token_ids().eos;
  if (!eos) throw ConfigError("the tokenizer names no eos token, with which answers end");
  const std::string turn_template = apply_chat_template(chat, std::string(kTextPlaceholder));
  Sequence sequence;
  std::vector<int64_t>& ids = sequence.item.input_ids;
  for (size_t t = 0; t < conversation.turns.size(); ++t) {
    const auto& [prompt, answers] = conversation.turns[t];
    if (t == 0) {
      Item item{.text = prompt, .prompt = turn_template};
      if (!conversation.image.empty()) {
        item.images = {conversation.image};
        item.prompt =
            apply_chat_template(chat, fmt::format("{}\n{}", kImagePlaceholder, kTextPlaceholder));
      }
      sequence.item = preparer.prepare(item, {});
    } else {
      const auto spans = render_prompt(turn_template, prompt, 0);
      const auto next = tokenizer.encode(text_spans(spans), /*add_special_tokens=*/false);
      ids.insert(ids.end(), next.begin(), next.end());
    }
    const auto turn = static_cast<int64_t>(t);
    if (answers.size() > 1) {
      const auto place = static_cast<int64_t>(ids.size());
      for (const std::string& word : answers) {
        sequence.learned.push_back(
            {place, single_token(tokenizer, word), turn, static_cast<int64_t>(answers.size())});
      }
      continue;  // the last turn: what comes before the words tells them, nothing comes behind
    }
    std::vector<int64_t> answer_ids =
        tokenizer.encode(std::vector<TextSpan>{{answers[0]}}, /*add_special_tokens=*/false);
    answer_ids.push_back(*eos);
    for (const int64_t id : answer_ids) {
      sequence.learned.push_back({static_cast<int64_t>(ids.size()), id, turn});
      ids.push_back(id);
    }
  }
  return sequence;
}

}  // namespace

void LanguageTrainOptions::register_options(OptionRegistry& registry) {
  TrainOptions::register_options(registry);
  registry.add(
      "average-over", average_over,
      {{"tokens", AverageOver::kTokens}, {"conversations", AverageOver::kConversations}},
      "The loss of conversations is the mean over their learned tokens, or over each of them");
  model.register_options(registry);
}

void LanguageTrainOptions::validate() const {
  TrainOptions::validate();
  model.validate();
}

std::unique_ptr<Objective> LanguageTrainOptions::open(const TrainFiles& files, ProcessGroup& group,
                                                      const ObjectiveCallbacks& callbacks) const {
  return std::make_unique<LanguageObjective>(files, *this, group, callbacks);
}

double LanguageTrainOptions::flops_per_token(const std::filesystem::path& model_dir) const {
  return text_flops(load_architecture(model_dir)->text(), 1, {.forward = 1, .backward = 0});
}

int64_t LanguageBatch::num_tokens() const {
  int64_t count = 0;
  for (const PreparedItem& item : items) count += item.num_tokens();
  return count;
}

LanguageBatch prepare_conversations(const ConversationFile& file,
                                    const std::vector<uint32_t>& indices,
                                    const ItemPreparer& preparer, ChatTemplate chat,
                                    AverageOver average_over) {
  LanguageBatch batch;
  int64_t num_tokens = 0;
  for (const uint32_t index : indices) {
    const Conversation conversation = file.row(index);
    try {
      Sequence sequence = prepare_conversation(conversation, preparer, chat);
      float weight_of_all = 0;
      for (const LearnedToken& token : sequence.learned) {
        weight_of_all += 1 / static_cast<float>(token.num_choices);
      }
      const float scale = average_over == AverageOver::kConversations ? 1 / weight_of_all : 1;
      for (const LearnedToken& token : sequence.learned) {
        batch.rows.push_back(num_tokens + token.place - 1);  // the token before says what comes
        batch.targets.push_back(token.id);
        batch.weights.push_back(scale / static_cast<float>(token.num_choices));
        batch.answers.push_back(batch.num_answers + token.turn);
      }
      batch.num_answers += static_cast<int64_t>(conversation.turns.size());
      num_tokens += sequence.item.num_tokens();
      batch.items.push_back(std::move(sequence.item));
    } catch (const InputError& error) {
      throw InputError(
          fmt::format("{}: line {}: {}", file.path().native(), file.line_of(index), error.what()));
    }
  }
  return batch;
}

LanguageObjective::LanguageObjective(const TrainFiles& files, const LanguageTrainOptions& options,
                                     ProcessGroup& group, const ObjectiveCallbacks& callbacks)
    : options_(options),
      group_(group),
      data_(files.data, files.on_bad_row, callbacks.on_warning),
      preparer_(files.model),
      chat_(options.model.chat(preparer_)),
      model_(files.model, options.model, options.seed, data_.has_images(), files.adapter,
             /*with_head=*/true) {
  if (files.eval_data.empty()) return;
  eval_data_.emplace(files.eval_data, files.on_bad_row);
  if (eval_data_->has_images() && !data_.has_images()) {
    throw ConfigError(
        fmt::format("{}: has pictures, which the training data has not", files.eval_data.native()));
  }
}

std::vector<LanguageBatch> LanguageObjective::make_batches(
    const ConversationFile& file, const std::vector<uint32_t>& rows) const {
  std::vector<LanguageBatch> batches;
  for (const std::vector<uint32_t>& some : micro_batches(rows, options_.micro_batch_size, group_)) {
    batches.push_back(prepare_conversations(file, some, preparer_, chat_, options_.average_over));
  }
  return batches;
}

at::Tensor LanguageObjective::logits(const LanguageBatch& batch) const {
  return model_.next_token_logits(preparer_.collate(batch.items), tensor_of(batch.rows));
}

ObjectiveResult LanguageObjective::add_gradients(const std::vector<uint32_t>& rows, int64_t) {
  const std::vector<LanguageBatch> batches = make_batches(data_, rows);
  ObjectiveResult result;
  double weight = 0;
  for (const LanguageBatch& batch : batches) {
    weight += sum_of(batch.weights);
    result.num_tokens += batch.num_tokens();
  }
  const double total = sum_over(group_, weight);
  at::Tensor sum = at::zeros({1}, at::kDouble);
  for (const LanguageBatch& batch : batches) {
    const at::Tensor loss = weighted_loss(logits(batch), batch) / total;
    sum += loss.detach().to(at::kDouble);
    if (!std::isfinite(sum.item<double>())) break;  // the others must not wait for this rank
    loss.backward();
  }
  result.loss = group_.gather_rows(sum).sum().item<double>();
  return result;
}

Json LanguageObjective::evaluate() {
  if (!eval_data_) return Json::object();
  const at::NoGradGuard no_grad;
  double loss = 0, weight = 0;
  int64_t num_answers = 0, num_right = 0;
  for (const LanguageBatch& batch : make_batches(
           *eval_data_, rows_to_evaluate(static_cast<int64_t>(eval_data_->size()), options_))) {
    const at::Tensor scores = logits(batch);
    loss += weighted_loss(scores, batch).item<double>();
    weight += sum_of(batch.weights);
    num_answers += batch.num_answers;
    num_right += count_right_answers(scores, batch);
  }
  const at::Tensor mine =
      at::tensor({loss, weight, static_cast<double>(num_right), static_cast<double>(num_answers)},
                 at::kDouble);
  const at::Tensor all = group_.gather_rows(mine.unsqueeze(0)).sum(0);
  return {{"eval_loss", (all[0] / all[1]).item<double>()},
          {"eval_accuracy", (all[2] / all[3]).item<double>()}};
}

void LanguageObjective::add_costs(int64_t, TrainingCost& cost, std::optional<TrainingCost>&) const {
  const std::vector<std::string>& trainable = options_.model.trainable;
  // Weights that move take another product than those that only pass the gradient on.
  const bool moves =
      std::find(trainable.begin(), trainable.end(), "language_model") != trainable.end();
  const TrainingPasses passes{.forward = 1 + (options_.model.gradient_checkpointing ? 1 : 0),
                              .backward = moves ? 2 : 1};
  cost.flops = text_flops(model_.architecture().text(), cost.tokens, passes);
}

ObjectiveType language_objective() {
  return {.name = "language",
          .summary = "the next token of answers",
          .data = "conversations as of LLaVA: .jsonl",
          .make_options = []() -> std::unique_ptr<TrainOptions> {
            return std::make_unique<LanguageTrainOptions>();
          }};
}

}  // namespace e5v::detail
