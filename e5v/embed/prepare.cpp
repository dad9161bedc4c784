#include "e5v/embed/prepare.h"

#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/base/utf8.h"
#include "e5v/model/llava_next.h"

namespace e5v {
namespace {

Image load_source(const ImageSource& source, const std::string& id, const DecodeOptions& options) {
  if (const auto* path = std::get_if<std::filesystem::path>(&source)) {
    return load_image(*path, options);
  }
  if (const auto* bytes = std::get_if<std::vector<std::byte>>(&source)) {
    return decode_image(*bytes, id.empty() ? "image" : fmt::format("image of '{}'", id), options);
  }
  return std::get<Image>(source);
}

/// The longest prefix of `text`, at most `size` bytes, that ends between code points.
std::string_view utf8_prefix(std::string_view text, size_t size) {
  while (size > 0 && size < text.size() &&
         (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) {
    --size;
  }
  return text.substr(0, size);
}

void require_utf8(std::string_view text) {
  const size_t invalid = find_invalid_utf8(text);
  if (invalid != std::string_view::npos) {
    throw InputError(fmt::format("the text is not valid UTF-8 at byte {}: '{}'", invalid,
                                 printable(text.substr(invalid), 16)));
  }
}

/// Tiles must be cut as the model will arrange them.
void require_matching(const ImageProcessor& processor, const LlavaConfig& config) {
  const ImageProcessorConfig& images = processor.config();
  if (images.tile_size() != config.vision.image_size) {
    throw ConfigError(
        fmt::format("the image processor makes tiles of {} pixels, the vision tower "
                    "takes {}",
                    images.tile_size(), config.vision.image_size));
  }
  std::vector<std::pair<int64_t, int64_t>> pinpoints;
  for (const ImageSize& size : images.image_grid_pinpoints) {
    pinpoints.emplace_back(size.height, size.width);
  }
  if (pinpoints != config.image_grid_pinpoints) {
    throw ConfigError("'image_grid_pinpoints' of the image processor and of config.json differ");
  }
}

}  // namespace

ChatTemplate detect_chat_template(const LlavaConfig& config, const Tokenizer& tokenizer) {
  if (tokenizer.token_to_id("<|start_header_id|>")) return ChatTemplate::kLlama3;
  if (config.text.model_type == "mistral") return ChatTemplate::kMistral;
  if (tokenizer.token_to_id("<|assistant|>")) return ChatTemplate::kPhi3;
  if (config.text.model_type == "llama") return ChatTemplate::kVicuna;
  return ChatTemplate::kPlain;
}

ItemPreparer::ItemPreparer(const std::filesystem::path& model_dir, const LlavaConfig& config,
                           ImageProcessing rule)
    : config_(config),
      tokenizer_(Tokenizer::load(model_dir)),
      chat_template_(detect_chat_template(config, tokenizer_)),
      image_token_(tokenizer_.special_token_ids().image.value_or(config.image_token_index)) {
  try {
    image_processor_ = ImageProcessor::load(model_dir, rule);
    require_matching(*image_processor_, config_);
  } catch (const Error& error) {  // a model without pictures still embeds texts
    image_processor_.reset();
    image_processor_error_ = error.what();
  }
}

const ImageProcessor& ItemPreparer::image_processor() const {
  if (!image_processor_) {
    throw ConfigError("this model cannot take pictures: " + image_processor_error_);
  }
  return *image_processor_;
}

std::string ItemPreparer::choose_prompt(const Item& item, const PrepareOptions& options) const {
  if (!item.prompt.empty()) return item.prompt;
  const bool own_task = !item.task.empty();
  if (!own_task && !options.prompt.empty()) return options.prompt;
  const Prompts prompts = find_prompts(own_task ? item.task : options.task, chat_template_);
  return prompts.choose(item.text.has_value(), !item.images.empty());
}

std::vector<int64_t> ItemPreparer::tokenize(const Item& item, const std::string& prompt,
                                            const PrepareOptions& options) const {
  const auto encode = [&](std::optional<std::string_view> text) {
    const auto spans = render_prompt(prompt, text, item.images.size(), options.allow_special);
    return tokenizer_.encode(text_spans(spans), /*add_special_tokens=*/true);
  };
  if (!item.text) return encode(std::nullopt);
  std::vector<int64_t> ids = encode(*item.text);
  const auto limit = static_cast<size_t>(config_.text.max_position_embeddings);
  if (!options.truncate || ids.size() <= limit) return ids;

  // The prompt's end must stay, so the text is cut: to the longest prefix whose prompt fits.
  size_t fits = 0, too_long = item.text->size();
  ids = encode("");
  while (fits + 1 < too_long) {
    const size_t size = fits + (too_long - fits) / 2;
    std::vector<int64_t> shorter = encode(utf8_prefix(*item.text, size));
    if (shorter.size() <= limit) {
      fits = size;
      ids = std::move(shorter);
    } else {
      too_long = size;
    }
  }
  return ids;
}

void ItemPreparer::check_length(const PreparedItem& item) const {
  if (item.num_tokens() > config_.text.max_position_embeddings) {
    throw InputError(
        fmt::format("{} tokens are more than the model's {}; shorten the text, or let "
                    "it be cut (--truncate)",
                    item.num_tokens(), config_.text.max_position_embeddings));
  }
}

PreparedItem ItemPreparer::prepare(const Item& item, const PrepareOptions& options) const {
  if (!item.text && item.images.empty()) {
    throw InputError("the item has neither a text nor an image");
  }
  if (item.text && item.text->empty()) throw InputError("the text is empty");
  if (item.text) require_utf8(*item.text);
  const std::vector<int64_t> ids = tokenize(item, choose_prompt(item, options), options);
  const auto places = static_cast<size_t>(std::count(ids.begin(), ids.end(), image_token_));
  if (places != item.images.size()) {
    throw InputError(
        fmt::format("the prompt holds {} image tokens for {} images", places, item.images.size()));
  }
  PreparedItem prepared;
  std::vector<int64_t> feature_counts;
  for (const ImageSource& source : item.images) {
    const ImageProcessor& processor = image_processor();
    prepared.tiles.push_back(processor.tiles(load_source(source, item.id, options.decode)));
    std::optional<AnyresLayout> layout;
    if (processor.is_anyres()) {
      layout = processor.layout(prepared.tiles.back().original, config_.vision.patch_size);
    }
    prepared.layouts.push_back(layout);
    feature_counts.push_back(num_image_tokens({.layout = layout}, config_));
  }
  size_t image = 0;
  for (const int64_t id : ids) {
    if (id == image_token_) {
      prepared.input_ids.insert(prepared.input_ids.end(),
                                static_cast<size_t>(feature_counts[image++]), kImageFeature);
    } else {
      prepared.input_ids.push_back(id);
    }
  }
  check_length(prepared);
  return prepared;
}

PackedBatch collate(std::span<const PreparedItem> items, const ImageProcessor* image_processor) {
  int64_t num_tokens = 0, num_tiles = 0, tile_size = 0;
  for (const PreparedItem& item : items) {
    num_tokens += item.num_tokens();
    for (const ImageTiles& tiles : item.tiles) {
      num_tiles += tiles.num_tiles;
      tile_size = tiles.tile_size;
    }
  }
  PackedBatch batch;
  batch.input_ids = at::empty({num_tokens}, at::kLong);
  batch.position_ids = at::empty({num_tokens}, at::kLong);
  batch.cu_seqlens = at::zeros({static_cast<int64_t>(items.size()) + 1}, at::kInt);
  if (num_tiles > 0) batch.pixel_values = at::empty({num_tiles, 3, tile_size, tile_size});

  int64_t token = 0, tile = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const PreparedItem& item = items[i];
    std::copy(item.input_ids.begin(), item.input_ids.end(),
              batch.input_ids.data_ptr<int64_t>() + token);
    for (int64_t p = 0; p < item.num_tokens(); ++p) {
      batch.position_ids.data_ptr<int64_t>()[token + p] = p;
    }
    token += item.num_tokens();
    batch.cu_seqlens.data_ptr<int32_t>()[i + 1] = static_cast<int32_t>(token);
    for (size_t k = 0; k < item.tiles.size(); ++k) {
      E5V_ASSERT(image_processor != nullptr);
      const ImageTiles& tiles = item.tiles[k];
      const at::Tensor place = batch.pixel_values.narrow(0, tile, tiles.num_tiles);
      image_processor->write_pixel_values(
          tiles, {place.data_ptr<float>(), static_cast<size_t>(place.numel())});
      batch.images.push_back(
          {.first_tile = tile, .num_tiles = tiles.num_tiles, .layout = item.layouts[k]});
      tile += tiles.num_tiles;
    }
  }
  return batch;
}

}  // namespace e5v
