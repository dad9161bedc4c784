#include "e5v/eval/parts_system.h"

#include <fmt/ranges.h>

#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

class PartsSystem final : public System {
 public:
  PartsSystem(std::unique_ptr<System> whole, Composition composition)
      : whole_(std::move(whole)), composition_(composition) {}

  Json describe() const override {
    Json json = whole_->describe();
    json["composition"] = composition_name(composition_);
    return json;
  }
  bool needs_images() const override { return whole_->needs_images(); }

  Embedded texts(std::span<const std::string> texts, const std::string& task) override {
    return whole_->texts(texts, task);
  }
  Embedded images(std::span<const EvalImage> images, const std::string& task) override {
    return whole_->images(images, task);
  }

  Embedded queries(std::span<const ComposedQuery> queries, const std::string& task) override {
    if (composition_ == Composition::kText) return texts_of(queries);
    Embedded sum = images_of(queries, task);
    if (composition_ == Composition::kImage) return sum;
    const Embedded texts = texts_of(queries);
    for (size_t i = 0; i < sum.vectors.values.size(); ++i) {
      sum.vectors.values[i] += texts.vectors.values[i];
    }
    sum.failed.insert(sum.failed.end(), texts.failed.begin(), texts.failed.end());
    normalize(sum.vectors, "model's output");
    return sum;
  }

  void finish() override { whole_->finish(); }

 private:
  Embedded images_of(std::span<const ComposedQuery> queries, const std::string& task) {
    std::vector<EvalImage> references;
    for (const ComposedQuery& query : queries) references.push_back(query.reference);
    return whole_->images(references, task);
  }
  Embedded texts_of(std::span<const ComposedQuery> queries) {
    std::vector<std::string> texts;
    for (const ComposedQuery& query : queries) {
      texts.push_back(fmt::format("{}", fmt::join(query.captions, ", ")));
    }
    return whole_->texts(texts, "retrieval");  // composed tasks have no prompt for a text alone
  }

  std::unique_ptr<System> whole_;
  Composition composition_;
};

}  // namespace

std::string_view composition_name(Composition composition) {
  switch (composition) {
    case Composition::kWhole:
      return "whole";
    case Composition::kSum:
      return "sum";
    case Composition::kImage:
      return "image";
    case Composition::kText:
      return "text";
    case Composition::kPseudoWord:
      return "pseudo-word";
  }
  throw_broken_invariant("composition is an enumerator", __FILE__, __LINE__);
}

std::unique_ptr<System> make_parts_system(std::unique_ptr<System> whole, Composition composition) {
  const bool is_of_parts = composition == Composition::kSum || composition == Composition::kImage ||
                           composition == Composition::kText;
  if (!is_of_parts) throw InputError("a query's parts are image, text or sum");
  return std::make_unique<PartsSystem>(std::move(whole), composition);
}

}  // namespace e5v::detail
