#pragma once

#include <functional>
#include <string>

#include "e5v/base/file.h"
#include "e5v/eval/system.h"
#include "e5v/image/encode_png.h"
#include "tests/support/temporary_folder.h"

namespace e5v {

/// Vectors by a function of what is embedded: texts by themselves, pictures by their id, queries by
/// id and captions. An empty vector is a failure.
class FakeSystem final : public System {
 public:
  using VectorOf = std::function<std::vector<float>(const std::string&)>;
  explicit FakeSystem(VectorOf vector_of, bool needs_images = false)
      : vector_of_(std::move(vector_of)), needs_images_(needs_images) {}

  Json describe() const override { return {{"system", "fake"}}; }
  bool needs_images() const override { return needs_images_; }
  Embedded texts(std::span<const std::string> texts, const std::string& task) override {
    tasks.push_back(task);
    return embed({texts.begin(), texts.end()});
  }
  Embedded images(std::span<const EvalImage> images, const std::string& task) override {
    tasks.push_back(task);
    std::vector<std::string> keys;
    for (const EvalImage& image : images) {
      keys.push_back(image.drawn_text.empty() ? image.id : "drawn:" + image.drawn_text);
    }
    return embed(keys);
  }
  Embedded queries(std::span<const ComposedQuery> queries, const std::string&) override {
    std::vector<std::string> keys;
    for (const ComposedQuery& query : queries) {
      std::string& key = keys.emplace_back(query.reference.id);
      for (const std::string& caption : query.captions) key += "+" + caption;
    }
    return embed(keys);
  }

  std::vector<std::string> tasks;

 private:
  Embedded embed(const std::vector<std::string>& keys) {
    Embedded result;
    std::vector<std::vector<float>> vectors;
    size_t dimensions = 1;
    for (const std::string& key : keys) {
      dimensions = std::max(dimensions, vectors.emplace_back(vector_of_(key)).size());
    }
    for (size_t i = 0; i < vectors.size(); ++i) {
      if (vectors[i].empty()) result.failed.emplace_back(i, "the picture is damaged");
      vectors[i].resize(dimensions);
      result.vectors.append(vectors[i]);
    }
    normalize(result.vectors, "fake vectors");
    return result;
  }

  VectorOf vector_of_;
  bool needs_images_;
};

/// The vector of a place in a list: one-hot.
inline std::vector<float> one_hot(size_t place, size_t size) {
  std::vector<float> vector(size);
  vector[place] = 1;
  return vector;
}

/// A small picture, coloured by its name.
inline void draw_picture(const std::filesystem::path& path) {
  Image image(24, 40);
  const size_t hash = std::hash<std::string>()(path.filename().string());
  for (size_t i = 0; i < image.rgb.size(); ++i) {
    image.rgb[i] = static_cast<uint8_t>((hash >> (8 * (i % 3))) + i / 7);
  }
  std::filesystem::create_directories(path.parent_path());
  write_file(path, encode_png(image));
}

inline std::filesystem::path shared_data(const std::string& name) {
  return std::filesystem::path(E5V_SHARED_DATA) / name;
}

/// Skips a test whose licence-bound data are not on this machine.
#define E5V_NEEDS_SHARED_DATA(name)                                                         \
  if (!std::filesystem::exists(shared_data(name))) {                                        \
    GTEST_SKIP() << shared_data(name) << " is not here: licence-bound data, not committed"; \
  }

}  // namespace e5v
