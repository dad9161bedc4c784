#include "e5v/train/training_cost.h"

#include <string>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

double text_weights(const TextConfig& c) {
  const auto D = static_cast<double>(c.hidden_size), Dh = static_cast<double>(c.head_dim);
  const auto H = static_cast<double>(c.num_attention_heads);
  const auto Hkv = static_cast<double>(c.num_key_value_heads);
  const auto I = static_cast<double>(c.intermediate_size);
  return static_cast<double>(c.num_hidden_layers) * (D * Dh * (2 * H + 2 * Hkv) + 3 * D * I);
}

/// Of CLIP's layers, in either tower.
double encoder_weights(int64_t num_layers, int64_t hidden_size, int64_t intermediate_size) {
  const auto D = static_cast<double>(hidden_size), I = static_cast<double>(intermediate_size);
  return static_cast<double>(num_layers) * (4 * D * D + 2 * D * I);
}

}  // namespace

double text_flops(const TextConfig& config, int64_t tokens, const TrainingPasses& passes) {
  const auto num_passes = static_cast<double>(passes.forward + passes.backward);
  return 2 * text_weights(config) * static_cast<double>(tokens) * num_passes;
}

double clip_flops(const ClipConfig& config, int64_t text_tokens, int64_t image_tokens,
                  const TrainingPasses& passes) {
  const ClipTextConfig& text = config.text;
  const VisionConfig& vision = config.vision;
  const double products =
      encoder_weights(text.num_hidden_layers, text.hidden_size, text.intermediate_size) *
          static_cast<double>(text_tokens) +
      encoder_weights(vision.num_hidden_layers, vision.hidden_size, vision.intermediate_size) *
          static_cast<double>(image_tokens);
  return 2 * products * static_cast<double>(passes.forward + passes.backward);
}

std::optional<TrainingCost> cost_with_pictures(const ItemPreparer& preparer,
                                               const TrainingCost& text, int64_t num_pairs,
                                               double texts_per_pair,
                                               const TrainingPasses& passes) {
  Item picture;
  picture.images.emplace_back(Image(480, 640));
  PreparedItem prepared;
  try {
    prepared = preparer.prepare(picture, {});
  } catch (const Error&) {
    return std::nullopt;
  }
  const auto pairs = static_cast<double>(num_pairs);
  const double tokens_of_a_text = static_cast<double>(text.tokens) / (pairs * texts_per_pair);
  const double tokens = pairs * (static_cast<double>(prepared.num_tokens()) +
                                 tokens_of_a_text * (texts_per_pair - 1));
  const Architecture& architecture = preparer.architecture();
  const double pictures = architecture.picture_flops(prepared.pictures[0]) * pairs *
                          static_cast<double>(passes.forward);
  TrainingCost cost;
  cost.tokens = static_cast<int64_t>(tokens);
  cost.flops = text_flops(architecture.text(), cost.tokens, passes) + pictures;
  cost.seconds = text.seconds * cost.flops / text.flops;
  return cost;
}

}  // namespace e5v::detail
