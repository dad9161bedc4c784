#include "e5v/server/answer_embeddings.h"

#include "e5v/base/error.h"
#include "e5v/embed/encoding.h"
#include "e5v/server/serving.h"

namespace e5v::detail {
namespace {

bool has_text(const WireItem& item) { return item.text || !item.token_ids.empty(); }

/// A request's item, its pictures fetched.
Item resolve(const WireItem& wire, const Serving& serving) {
  Item item;
  item.text = wire.text;
  if (!wire.token_ids.empty()) {
    const Tokenizer& tokenizer = serving.embedder->preparer().tokenizer();
    for (const int64_t id : wire.token_ids) {
      if (id >= tokenizer.vocab_size()) {
        throw InputError(
            fmt::format("token {} is outside the vocabulary of {}", id, tokenizer.vocab_size()));
      }
    }
    item.text = tokenizer.decode(wire.token_ids);
  }
  for (const WireImage& image : wire.images) item.images.emplace_back(serving.image_bytes(image));
  return item;
}

/// The template of a request's own words; they may say where text and picture go.
std::string template_of(const std::string& instruction, const WireItem& item, ChatTemplate chat) {
  std::string body = instruction;
  if (body.find(kTextPlaceholder) == std::string::npos &&
      body.find(kImagePlaceholder) == std::string::npos) {
    body = fmt::format("{}{}\n{}", item.images.empty() ? "" : kImagePlaceholder,
                       has_text(item) ? kTextPlaceholder : "", body);
  }
  return apply_chat_template(chat, body);
}

/// The item's prompt: the request's, else the server's.
void choose_prompt(const EmbeddingRequest& request, const WireItem& wire, const Serving& serving,
                   Item& item) {
  if (!request.prompt.empty()) {
    item.prompt = request.prompt;
  } else if (!request.instruction.empty()) {
    item.prompt =
        template_of(request.instruction, wire, serving.embedder->preparer().chat_template());
  } else if (!request.task.empty()) {
    item.task = request.task;
  } else if (serving.prepare.prompt.empty() && has_text(wire) && !wire.images.empty()) {
    item.task = composed_task(serving.prepare.task);
  }
}

void check_task(const std::string& task, ChatTemplate chat) {
  if (task.empty()) return;
  try {
    find_prompts(task, chat);
  } catch (const ConfigError& error) {
    throw InputError(error.what());
  }
}

HttpAnswer answer_embeddings(const RouteCall& call, Serving& serving) {
  const EmbeddingShape& shape = *call.route.embeddings;
  const EmbeddingRequest request = shape.parse(parse_body(call.http), serving.limits);
  if (request.dimensions > serving.embedder->dimensions()) {
    throw InputError(fmt::format("'dimensions' is {}, the model's vectors have {}",
                                 request.dimensions, serving.embedder->dimensions()));
  }
  check_task(request.task, serving.embedder->preparer().chat_template());
  std::vector<Item> items;
  for (const WireItem& wire : request.items) {
    choose_prompt(request, wire, serving, items.emplace_back(resolve(wire, serving)));
  }
  PrepareOptions options = serving.prepare;
  options.truncate |= request.truncate;
  EmbeddedItems embedded = serving.embed(items, options, call.http);
  for (auto& vector : embedded.vectors) truncate_and_normalize(vector, request.dimensions);
  return json_answer(
      shape.answer(request, {.id = fmt::format("embd-{}", serving.next_answer++),
                             .model = request.model.empty() ? serving.model_name : request.model,
                             .vectors = std::move(embedded.vectors),
                             .num_tokens = embedded.num_tokens}));
}

}  // namespace

std::vector<Route> embedding_routes(const EmbeddingShape& shape) {
  std::vector<Route> routes;
  for (const std::string_view path : shape.paths) {
    routes.push_back({.path = path,
                      .document = shape.document,
                      .answer = answer_embeddings,
                      .embeddings = &shape});
  }
  return routes;
}

}  // namespace e5v::detail
