#include "e5v/embed/embedder.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include "e5v/base/threads.h"
#include "e5v/embed/device.h"
#include "e5v/embed/encoding.h"
#include "e5v/families/load_model.h"
#include "e5v/families/registry.h"
#include "e5v/model/stored_precision.h"

namespace e5v::detail {
namespace {

/// Prepared items that wait for the model. Pictures are kept as bytes: about 2 MB each at the most
/// tiles of the published models.
constexpr size_t kPreparedItems = 32;

std::string describe(uint64_t index, const Item& item) {
  return item.id.empty() ? fmt::format("item {}", index + 1)
                         : fmt::format("item {} ('{}')", index + 1, printable(item.id));
}

/// What passes from the preparing thread to the model: an item with its tokens, or its error.
struct StreamEntry {
  Item item;
  PreparedItem prepared;
  std::optional<InputError> error;
};

}  // namespace

void EmbedderOptions::validate() const {
  if (model.empty()) throw ConfigError("no model is given");
  if (threads < 0) throw ConfigError(fmt::format("'threads' is {}, expected 0 or more", threads));
  if (batch_tokens < 1) {
    throw ConfigError(fmt::format("'batch-tokens' is {}, expected 1 or more", batch_tokens));
  }
  if (dimensions < 0) {
    throw ConfigError(fmt::format("'dimensions' is {}, expected 0 (all) or more", dimensions));
  }
  if (min_pixels < 0 || max_pixels < 0) {
    throw ConfigError(fmt::format("'{}' is {}, expected 0 (as the model's folder says) or more",
                                  min_pixels < 0 ? "min-pixels" : "max-pixels",
                                  std::min(min_pixels, max_pixels)));
  }
  if (prepare.prompt.empty()) find_prompts(prepare.task, ChatTemplate::kPlain);
}

struct Embedder::Impl {
  EmbedderOptions options;
  std::unique_ptr<Model> model;
  std::unique_ptr<ItemPreparer> preparer;
  std::optional<Precision> quantized;  // int8, int4 or nf4
};

Embedder::Embedder(EmbedderOptions options) : impl_(std::make_unique<Impl>()) {
  options.validate();
  impl_->preparer = std::make_unique<ItemPreparer>(
      options.model, PictureOptions{.processing = options.image_processing,
                                    .min_pixels = options.min_pixels,
                                    .max_pixels = options.max_pixels});
  const int64_t width = architecture().text().hidden_size;
  if (options.dimensions > width) {
    throw ConfigError(fmt::format("'dimensions' is {}, but the model's vectors have {}",
                                  options.dimensions, width));
  }
  if (options.threads > 0) at::set_num_threads(static_cast<int>(options.threads));
  const at::Device device = device_from_name(options.device);
  impl_->model = load_model(options.model, {.precision = options.precision,
                                            .device = device,
                                            .pack = device.is_cpu(),
                                            .adapter = options.adapter,
                                            .on_progress = options.on_load_progress,
                                            .on_warning = options.on_warning});
  impl_->quantized = stored_precision(options.model);
  if (is_quantized(options.precision)) impl_->quantized = options.precision;
  impl_->options = std::move(options);
}

Embedder::Embedder(Embedder&&) noexcept = default;
Embedder& Embedder::operator=(Embedder&&) noexcept = default;
Embedder::~Embedder() = default;

int64_t Embedder::dimensions() const {
  const int64_t kept = impl_->options.dimensions;
  return kept > 0 ? kept : architecture().text().hidden_size;
}

const EmbedderOptions& Embedder::options() const { return impl_->options; }
const Architecture& Embedder::architecture() const { return preparer().architecture(); }
const ItemPreparer& Embedder::preparer() const { return *impl_->preparer; }

const char* Embedder::precision() const {
  if (impl_->quantized) return precision_name(*impl_->quantized);
  switch (impl_->model->compute_dtype()) {
    case at::kBFloat16:
      return "bf16";
    case at::kHalf:
      return "fp16";
    default:
      return "fp32";
  }
}

std::vector<std::vector<float>> Embedder::embed_prepared(
    std::span<const PreparedItem> items) const {
  if (items.empty()) return {};
  const c10::InferenceMode inference;
  try {
    const PackedBatch batch = preparer().collate(items);
    const at::Tensor states = impl_->model->forward(batch).contiguous();  // [B, D]
    std::vector<std::vector<float>> vectors;
    const float* state = states.data_ptr<float>();
    for (int64_t b = 0; b < states.size(0); ++b, state += states.size(1)) {
      std::vector<float>& vector = vectors.emplace_back(state, state + states.size(1));
      if (impl_->options.normalize) {
        truncate_and_normalize(vector, impl_->options.dimensions);
      } else {
        vector.resize(static_cast<size_t>(dimensions()));
      }
    }
    return vectors;
  } catch (const c10::Error& error) {
    throw Error(fmt::format("the model could not be run: {}", error.what_without_backtrace()));
  }
}

std::vector<std::vector<float>> Embedder::embed(std::span<const Item> items) const {
  std::vector<std::vector<float>> vectors;
  size_t next = 0;
  const auto source = [&]() -> std::optional<ReadItem> {
    if (next == items.size()) return std::nullopt;
    return ReadItem{.item = items[next++], .error = {}};
  };
  embed_stream(source, [&](uint64_t, const Item&, std::span<const float> vector) {
    vectors.emplace_back(vector.begin(), vector.end());
  });
  return vectors;
}

void Embedder::embed_stream(const ItemSource& source, const VectorSink& on_vector,
                            const ErrorSink& on_error) const {
  BoundedQueue<StreamEntry> queue(kPreparedItems);
  std::exception_ptr source_failure;
  std::thread producer([&] {
    try {
      while (std::optional<ReadItem> read = source()) {
        StreamEntry entry{.item = std::move(read->item), .prepared = {}, .error = read->error};
        try {
          if (!entry.error) entry.prepared = preparer().prepare(entry.item, impl_->options.prepare);
        } catch (const Error& error) {
          entry.error.emplace(error.what());
        }
        if (!queue.push(std::move(entry))) return;
      }
    } catch (...) {
      source_failure = std::current_exception();
    }
    queue.close();
  });
  // Whatever ends the loop below, the producer must not be left waiting for room.
  struct Joiner {
    BoundedQueue<StreamEntry>& queue;
    std::thread& thread;
    ~Joiner() {
      queue.close();
      thread.join();
    }
  };

  {
    const Joiner joiner{queue, producer};
    std::vector<StreamEntry> batch;
    int64_t batch_tokens = 0;
    uint64_t index = 0;
    const auto flush = [&] {
      std::vector<PreparedItem> good;
      for (StreamEntry& entry : batch) {
        if (!entry.error) good.push_back(std::move(entry.prepared));
      }
      const std::vector<std::vector<float>> vectors = embed_prepared(good);
      size_t vector = 0;
      for (const StreamEntry& entry : batch) {
        if (!entry.error) {
          on_vector(index, entry.item, vectors[vector++]);
        } else if (on_error) {
          on_error(index, entry.item, *entry.error);
        } else {
          throw InputError(fmt::format("{}: {}", describe(index, entry.item), entry.error->what()));
        }
        ++index;
      }
      batch.clear();
      batch_tokens = 0;
    };
    while (std::optional<StreamEntry> entry = queue.pop()) {
      const int64_t tokens = entry->prepared.num_tokens();
      if (!batch.empty() && batch_tokens + tokens > impl_->options.batch_tokens) flush();
      batch_tokens += tokens;
      batch.push_back(*std::move(entry));
    }
    if (!source_failure || !batch.empty()) flush();
  }
  if (source_failure) std::rethrow_exception(source_failure);
}

}  // namespace e5v::detail
