#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/options.h"
#include "e5v/eval/protocols.h"
#include "e5v/eval/system.h"
#include "e5v/image/encode_png.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {

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

/// Another system without owning it.
class BorrowedSystem final : public System {
 public:
  explicit BorrowedSystem(System& system) : system_(system) {}
  Json describe() const override { return system_.describe(); }
  bool needs_images() const override { return system_.needs_images(); }
  Embedded texts(std::span<const std::string> texts, const std::string& task) override {
    return system_.texts(texts, task);
  }
  Embedded images(std::span<const EvalImage> images, const std::string& task) override {
    return system_.images(images, task);
  }
  Embedded queries(std::span<const ComposedQuery> queries, const std::string& task) override {
    return system_.queries(queries, task);
  }
  void finish() override { system_.finish(); }

 private:
  System& system_;
};

/// Options by their flags' names, as a command line gives them.
using OptionValues = std::map<std::string, std::string>;

/// Sets options to `values`; those that are declared and not given stay as they are.
class OptionSetter final : public OptionRegistry {
 public:
  explicit OptionSetter(OptionValues values) : values_(std::move(values)) {}
  /// A value that no option took fails the test.
  ~OptionSetter() override {
    for (const auto& [name, value] : values_) ADD_FAILURE() << "no option --" << name;
  }

  using OptionRegistry::add;
  void add(std::string_view name, bool& value, std::string_view) override {
    set(name, [&](const std::string& text) { value = text == "true"; });
  }
  void add(std::string_view name, int64_t& value, std::string_view) override {
    set(name, [&](const std::string& text) { value = std::stoll(text); });
  }
  void add(std::string_view name, double& value, std::string_view) override {
    set(name, [&](const std::string& text) { value = std::stod(text); });
  }
  void add(std::string_view name, std::string& value, std::string_view) override {
    set(name, [&](const std::string& text) { value = text; });
  }
  void add(std::string_view name, std::filesystem::path& value, std::string_view) override {
    set(name, [&](const std::string& text) { value = text; });
  }
  void add(std::string_view name, std::vector<std::string>& value, std::string_view) override {
    set(name, [&](const std::string& text) { value.push_back(text); });
  }

 protected:
  void add_choice(std::string_view name, std::vector<std::string> choices, size_t,
                  std::function<void(size_t)> choose, std::string_view) override {
    set(name, [&](const std::string& text) {
      const auto found = std::find(choices.begin(), choices.end(), text);
      ASSERT_NE(found, choices.end()) << text;
      choose(static_cast<size_t>(found - choices.begin()));
    });
  }

 private:
  void set(std::string_view name, const std::function<void(const std::string&)>& assign) {
    const auto found = values_.find(std::string(name));
    if (found == values_.end()) return;
    assign(found->second);
    values_.erase(found);
  }

  OptionValues values_;
};

/// Runs the protocol `name` with these options.
inline TaskReport evaluate(const std::string& name, const OptionValues& options,
                           const MakeSystem& make_system) {
  const Protocol* const protocol = find_protocol(name);
  if (protocol == nullptr) throw std::invalid_argument("no protocol " + name);
  const std::unique_ptr<Evaluation> evaluation = protocol->make_evaluation();
  {
    OptionSetter setter(options);
    evaluation->register_options(setter);
  }
  return run_protocol(*protocol, *evaluation, make_system);
}
inline TaskReport evaluate(const std::string& name, const OptionValues& options, System& system) {
  return evaluate(name, options, [&] { return std::make_unique<BorrowedSystem>(system); });
}

/// What a call throws, or "no error".
template <class Function>
std::string error_of(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// A report of `task` whose queries have their best right answers at these ranks.
inline TaskReport report_with(const std::string& task, const std::vector<int64_t>& ranks) {
  TaskReport report;
  report.task = task;
  report.system = {{"system", "fake"}};
  report.data = {{"captions", ranks.size()}};
  report.add_recalls("image_retrieval_recall", ranks, {1, 5});
  report.histograms = {{"Places", ranks}};
  return report;
}

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

}  // namespace e5v::detail
