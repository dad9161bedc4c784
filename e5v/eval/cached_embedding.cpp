#include "e5v/eval/cached_embedding.h"

#include <algorithm>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Adds a file's bytes, or of a long file (weights) its header and samples throughout: reading 16
/// GB to name a cache would take longer than using it, training changes weights everywhere, and the
/// header has names and shapes.
void add_samples(std::string_view bytes, ContentHasher& hasher) {
  constexpr size_t kHeaderBytes = size_t{1} << 20, kSampleBytes = 4096, kNumSamples = 256;
  if (bytes.size() <= kHeaderBytes + kNumSamples * kSampleBytes) {
    hasher.add(bytes);
    return;
  }
  hasher.add(bytes.substr(0, kHeaderBytes));
  const size_t step = (bytes.size() - kHeaderBytes - kSampleBytes) / (kNumSamples - 1);
  for (size_t i = 0; i < kNumSamples; ++i) {
    hasher.add(bytes.substr(kHeaderBytes + i * step, kSampleBytes));
  }
}

}  // namespace

ContentHash fingerprint_model(const fs::path& path) {
  std::vector<fs::path> files;
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::directory_iterator(path)) {
      const fs::path extension = entry.path().extension();
      if (extension == ".json" || extension == ".safetensors") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
  } else {
    files.push_back(path);
  }
  ContentHasher hasher;
  for (const fs::path& file : files) {
    const MappedFile mapped(file);
    const std::string_view bytes = as_text(mapped.bytes());
    hasher.add(file.filename().native()).add(std::to_string(bytes.size()));
    add_samples(bytes, hasher);
  }
  return hasher.hash();
}

ContentHash fingerprint_image(const EvalImage& image, const TextImageOptions& text_image) {
  if (!image.path.empty()) {
    return ContentHasher().add("file").add(as_text(MappedFile(image.path).bytes())).hash();
  }
  return ContentHasher()
      .add("drawn")
      .add(fmt::format("{} {} {} {} {}", text_image.font.native(), text_image.width,
                       text_image.height, text_image.font_size, text_image.margin))
      .add(image.drawn_text)
      .hash();
}

Embedded CachedEmbedding::embed(const std::vector<std::optional<ContentHash>>& keys,
                                std::vector<std::pair<size_t, std::string>> failed,
                                const std::string& what, const Compute& compute) {
  Embedded result;
  result.failed = std::move(failed);
  result.vectors.dimensions = dimensions_;
  result.vectors.values.resize(keys.size() * static_cast<size_t>(dimensions_));
  std::vector<size_t> missing;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!keys[i]) continue;
    if (const auto vector = cache_.find(*keys[i])) {
      std::copy(vector->begin(), vector->end(), result.vectors[static_cast<int64_t>(i)].begin());
    } else {
      missing.push_back(i);
    }
  }
  uint64_t done = keys.size() - missing.size();
  const auto advance = [&] {
    ++done;
    if (on_progress_) on_progress_(what, done, keys.size());
  };
  const Sink sink{.vector =
                      [&](size_t index, std::span<const float> vector) {
                        std::copy(vector.begin(), vector.end(),
                                  result.vectors[static_cast<int64_t>(index)].begin());
                        cache_.add(*keys[index], vector);
                        advance();
                      },
                  .failure =
                      [&](size_t index, const std::string& why) {
                        result.failed.emplace_back(index, why);
                        advance();
                      }};
  if (!missing.empty()) compute(missing, sink);
  std::sort(result.failed.begin(), result.failed.end());
  return result;
}

std::vector<std::optional<ContentHash>> image_keys(
    std::span<const EvalImage> images, const TextImageOptions& text_image,
    const EmbedProgress& progress, std::vector<std::pair<size_t, std::string>>& failed) {
  std::vector<std::optional<ContentHash>> keys(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    try {
      keys[i] = fingerprint_image(images[i], text_image);
    } catch (const Error& error) {
      failed.emplace_back(i, error.what());
    }
    if (progress) progress("read", i + 1, images.size());
  }
  return keys;
}

}  // namespace e5v::detail
