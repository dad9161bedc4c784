#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "e5v/base/random.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/embedder_flags.h"
#include "e5v/model/precision.h"

namespace e5v::detail {
namespace {

/// What is measured: some texts of equal length, or one picture.
struct Workload {
  std::string name;
  std::vector<PreparedItem> items;
};

struct Measurement {
  std::string name;
  int64_t num_tokens = 0;
  std::vector<double> times_ms;  // ascending
  double median_ms = 0;
  /// Floating-point operations of matrix products and attention.
  double operations = 0;
};

struct BenchCommand {
  EmbedderFlags embedder;
  std::vector<std::string> texts = {"1x32", "32x32", "1x512", "1x2048"};
  std::vector<std::string> photos = {"640x480"};
  int64_t repetitions = 5;
  uint64_t seed = 1;

  void run(const CommandContext& context) const;
};

/// "8x640x480" as {8, 640, 480}: numbers from 1 to 2^20. Empty if it is nothing of the kind.
std::vector<int64_t> parse_shape(const std::string& text) {
  constexpr int64_t kLargest = 1 << 20;
  std::vector<int64_t> numbers;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('x', begin), text.size());
    const std::string digits = text.substr(begin, end - begin);
    const bool is_number =
        !digits.empty() && digits.size() <= 7 &&
        std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!is_number || std::stoll(digits) < 1 || std::stoll(digits) > kLargest) return {};
    numbers.push_back(std::stoll(digits));
    begin = end + 1;
  }
  return numbers;
}

/// {texts, tokens of each}. Throws ConfigError.
std::pair<int64_t, int64_t> parse_texts(const std::string& text) {
  const std::vector<int64_t> numbers = parse_shape(text);
  if (numbers.size() == 2) return {numbers[0], numbers[1]};
  throw ConfigError(
      fmt::format("'texts' is '{}', expected two numbers such as 32x512", printable(text)));
}

struct PhotoShape {
  int64_t count, width, height;
};

PhotoShape parse_photo(const std::string& text) {
  const std::vector<int64_t> numbers = parse_shape(text);
  if (numbers.size() == 2) return {1, numbers[0], numbers[1]};
  if (numbers.size() == 3) return {numbers[0], numbers[1], numbers[2]};
  throw ConfigError(fmt::format("'photo' is '{}', expected numbers such as 640x480 or 8x640x480",
                                printable(text)));
}

/// Texts of random ids: what they say does not change the time.
Workload make_texts(const std::string& shape, const Embedder& embedder, uint64_t seed) {
  const auto [count, length] = parse_texts(shape);
  if (length > embedder.architecture().text().max_position_embeddings) {
    throw ConfigError(fmt::format("'texts' is '{}', but the model takes {} tokens at the most",
                                  shape, embedder.architecture().text().max_position_embeddings));
  }
  SplitMix64 random(seed);
  Workload workload{shape, std::vector<PreparedItem>(count)};
  for (PreparedItem& item : workload.items) {
    for (int64_t i = 0; i < length; ++i) {
      item.input_ids.push_back(static_cast<int64_t>(
          random.below(static_cast<uint64_t>(embedder.architecture().text().vocab_size))));
    }
  }
  return workload;
}

/// Pictures of random pixels, each an item.
Workload make_photos(const std::string& shape, const Embedder& embedder, uint64_t seed) {
  const PhotoShape photo = parse_photo(shape);
  SplitMix64 random(seed);
  Workload workload{"photo " + shape, {}};
  for (int64_t i = 0; i < photo.count; ++i) {
    Image image(photo.height, photo.width);
    for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(random.next());
    Item item;
    item.images.emplace_back(std::move(image));
    workload.items.push_back(embedder.preparer().prepare(item, {}));
  }
  return workload;
}

double attention_operations(double num_queries, double num_keys_each, double width) {
  return 4 * num_queries * num_keys_each * width;  // q·k and weights·v
}

/// What the mathematics asks for: in the last layer only keys and values of all tokens.
double language_model_operations(const TextConfig& text, const std::vector<PreparedItem>& items) {
  const double D = text.hidden_size, I = text.intermediate_size, layers = text.num_hidden_layers;
  const double q = text.num_attention_heads * text.head_dim;
  const double kv = 2.0 * text.num_key_value_heads * text.head_dim;
  const double rest = 2 * (2 * D * q + 3 * D * I);  // q, o and the MLP, for one token
  double operations = 0;
  for (const PreparedItem& item : items) {
    const double T = item.num_tokens();
    operations += layers * T * 2 * D * kv + ((layers - 1) * T + 1) * rest;
    operations += (layers - 1) * attention_operations(T, (T + 1) / 2, q);
    operations += attention_operations(1, T, q);
  }
  return operations;
}

double vision_operations(const Architecture& architecture, const std::vector<PreparedItem>& items) {
  double operations = 0;
  for (const PreparedItem& item : items) {
    for (const PreparedPicture& picture : item.pictures) {
      operations += architecture.picture_flops(picture);
    }
  }
  return operations;
}

Measurement measure(const Embedder& embedder, const Workload& workload, int64_t repetitions) {
  Measurement result{.name = workload.name};
  for (const PreparedItem& item : workload.items) result.num_tokens += item.num_tokens();
  result.operations = language_model_operations(embedder.architecture().text(), workload.items) +
                      vision_operations(embedder.architecture(), workload.items);
  embedder.embed_prepared(workload.items);  // memory and generated code are there from now on
  for (int64_t i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    embedder.embed_prepared(workload.items);
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    result.times_ms.push_back(time.count());
  }
  std::sort(result.times_ms.begin(), result.times_ms.end());
  result.median_ms = result.times_ms[result.times_ms.size() / 2];
  return result;
}

void BenchCommand::run(const CommandContext& context) const {
  if (repetitions < 1)
    throw ConfigError(fmt::format("'repetitions' is {}, expected > 0", repetitions));
  const Embedder loaded = embedder.load(context);
  const double product_rate = measure_product_rate(precision_from_name(loaded.precision()));

  std::vector<Measurement> measurements;
  for (const std::string& shape : texts) {
    if (shape == "none") continue;
    measurements.push_back(measure(loaded, make_texts(shape, loaded, seed), repetitions));
  }
  for (const std::string& shape : photos) {
    if (shape == "none") continue;
    measurements.push_back(measure(loaded, make_photos(shape, loaded, seed), repetitions));
  }

  if (context.json) {
    Json rows = Json::array();
    for (const Measurement& m : measurements) {
      rows.push_back({{"name", m.name},
                      {"tokens", m.num_tokens},
                      {"median_ms", m.median_ms},
                      {"times_ms", m.times_ms},
                      {"tokens_per_s", m.num_tokens / m.median_ms * 1e3},
                      {"gflop_per_s", m.operations / m.median_ms / 1e6}});
    }
    return context.print_json({{"precision", loaded.precision()},
                               {"repetitions", repetitions},
                               {"product_rate_gflop_per_s", product_rate},
                               {"measurements", rows}});
  }
  context.print(fmt::format("{}, median of {}; products alone reach {:.0f} GFLOP/s here",
                            loaded.precision(), repetitions, product_rate));
  context.print(fmt::format("{:16}{:>8}{:>12}{:>12}{:>10}{:>8}", "", "tokens", "ms", "tokens/s",
                            "GFLOP/s", "of it"));
  for (const Measurement& m : measurements) {
    const double rate = m.operations / m.median_ms / 1e6;
    context.print(fmt::format("{:16}{:>8}{:>12.1f}{:>12.0f}{:>10.0f}{:>7.0f}%", m.name,
                              m.num_tokens, m.median_ms, m.num_tokens / m.median_ms * 1e3, rate,
                              100 * rate / product_rate));
  }
}

}  // namespace

void register_bench(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "bench", "Measure how fast a model embeds on this machine",
      "e5v bench --model DIR --precision bf16\n"
      "e5v bench --model DIR --texts 64x32 --texts 1x4096 --photo none --json\n"
      "\n"
      "Each line is a batch (texts x tokens of each, or a picture without its decoding), warm, "
      "the\n"
      "median of several. The last column compares with the rate of the matrix products alone.");
  auto bench = std::make_shared<BenchCommand>();
  bench->embedder.register_options(command);
  command.add("texts", bench->texts,
              "A batch of texts, as NUMBERxTOKENS, or none; may be repeated");
  command.add("photo", bench->photos,
              "A batch of pictures, as WIDTHxHEIGHT or NUMBERxWIDTHxHEIGHT, or none; may be "
              "repeated");
  command.add("repetitions", bench->repetitions, "Times that each batch is measured");
  command.set_callback([bench, &context] {
    bench->embedder.choose_model();
    bench->run(context);
  });
}

}  // namespace e5v::detail
