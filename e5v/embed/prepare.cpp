#include "e5v/embed/prepare.h"

#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/base/utf8.h"
#include "e5v/families/registry.h"
#include "e5v/model/packed_batch.h"

namespace e5v::detail {
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

void write_tokens(const PreparedItem& item, int64_t first, PackedBatch& batch) {
  const int64_t count = item.num_tokens();
  std::copy(item.input_ids.begin(), item.input_ids.end(),
            batch.input_ids.data_ptr<int64_t>() + first);
  const int64_t axes = batch.position_ids.dim() == 2 ? batch.position_ids.size(0) : 1;
  const int64_t total = batch.input_ids.size(0);
  auto* positions = batch.position_ids.data_ptr<int64_t>();
  E5V_ASSERT(item.position_ids.empty() ||
             static_cast<int64_t>(item.position_ids.size()) == axes * count);
  for (int64_t axis = 0; axis < axes; ++axis) {
    for (int64_t p = 0; p < count; ++p) {
      positions[axis * total + first + p] =
          item.position_ids.empty() ? p : item.position_ids[static_cast<size_t>(axis * count + p)];
    }
  }
}

/// Axes of the positions of items that have any.
int64_t num_axes(std::span<const PreparedItem> items) {
  for (const PreparedItem& item : items) {
    if (!item.position_ids.empty()) {
      return static_cast<int64_t>(item.position_ids.size()) / item.num_tokens();
    }
  }
  return 1;
}

}  // namespace

ItemPreparer::ItemPreparer(const std::filesystem::path& model_dir, const PictureOptions& options)
    : architecture_(load_architecture(model_dir)),
      tokenizer_(Tokenizer::load(model_dir)),
      chat_template_(architecture_->chat_template(model_dir, tokenizer_)),
      image_token_(architecture_->image_token_id(tokenizer_)) {
  try {
    picture_rules_ = architecture_->load_picture_rules(model_dir, options);
  } catch (const Error& error) {  // a model without pictures still embeds texts
    picture_rules_error_ = error.what();
  }
}

const PictureRules& ItemPreparer::picture_rules() const {
  if (!picture_rules_) {
    throw ConfigError("this model cannot take pictures: " + picture_rules_error_);
  }
  return *picture_rules_;
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
    const auto spans = render_prompt(prompt, text, item.images.size(), options.allow_special,
                                     architecture_->image_text());
    return tokenizer_.encode(text_spans(spans), /*add_special_tokens=*/true);
  };
  if (!item.text) return encode(std::nullopt);
  std::vector<int64_t> ids = encode(*item.text);
  const auto limit = static_cast<size_t>(architecture_->text().max_position_embeddings);
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
  if (item.num_tokens() > architecture_->text().max_position_embeddings) {
    throw InputError(
        fmt::format("{} tokens are more than the model's {}; shorten the text, or let "
                    "it be cut (--truncate)",
                    item.num_tokens(), architecture_->text().max_position_embeddings));
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
  for (const ImageSource& source : item.images) {
    prepared.pictures.push_back(
        picture_rules().prepare(load_source(source, item.id, options.decode)));
  }
  size_t picture = 0;
  for (const int64_t id : ids) {
    if (id != image_token_) {
      prepared.input_ids.push_back(id);
      continue;
    }
    const std::vector<int64_t> tokens = picture_rules().tokens(prepared.pictures[picture++]);
    prepared.input_ids.insert(prepared.input_ids.end(), tokens.begin(), tokens.end());
  }
  check_length(prepared);
  prepared.position_ids = architecture_->position_ids(prepared.input_ids, prepared.pictures);
  return prepared;
}

PackedBatch ItemPreparer::collate(std::span<const PreparedItem> items) const {
  int64_t num_tokens = 0, num_rows = 0;
  for (const PreparedItem& item : items) {
    num_tokens += item.num_tokens();
    for (const PreparedPicture& picture : item.pictures) num_rows += picture.num_rows;
  }
  const int64_t axes = num_axes(items);
  PackedBatch batch;
  batch.input_ids = at::empty({num_tokens}, at::kLong);
  batch.position_ids =
      axes == 1 ? at::empty({num_tokens}, at::kLong) : at::empty({axes, num_tokens}, at::kLong);
  batch.cu_seqlens = at::zeros({static_cast<int64_t>(items.size()) + 1}, at::kInt);
  if (num_rows > 0) {
    std::vector<int64_t> shape = picture_rules().row_shape();
    shape.insert(shape.begin(), num_rows);
    batch.pixel_values = at::empty(shape);
  }

  int64_t token = 0, row = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    write_tokens(items[i], token, batch);
    token += items[i].num_tokens();
    batch.cu_seqlens.data_ptr<int32_t>()[i + 1] = static_cast<int32_t>(token);
    for (const PreparedPicture& picture : items[i].pictures) {
      const at::Tensor place = batch.pixel_values.narrow(0, row, picture.num_rows);
      picture_rules().write_pixel_values(
          picture, {place.data_ptr<float>(), static_cast<size_t>(place.numel())});
      batch.images.push_back(
          {.first_row = row, .num_rows = picture.num_rows, .layout = picture.layout});
      row += picture.num_rows;
    }
  }
  return batch;
}

}  // namespace e5v::detail
