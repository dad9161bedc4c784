#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/eval/eval_image.h"
#include "e5v/eval/text_image.h"
#include "e5v/eval/vectors.h"

namespace e5v::detail {

/// A picture, and one or two captions that say how it is to be changed. With two (FashionIQ), both
/// orders are embedded and added.
struct ComposedQuery {
  EvalImage reference;
  std::vector<std::string> captions;
};

/// One vector of length 1 for each input, in order; where an input failed, zeros.
struct Embedded {
  Vectors vectors;
  std::vector<std::pair<size_t, std::string>> failed;  ///< index of the input, and why
};

/// What is evaluated: turns texts, pictures, and pictures with a text that changes them into
/// vectors of length 1 in one space. Protocols know this interface and nothing of models. For one
/// thread at a time.
class System {
 public:
  virtual ~System() = default;

  /// What the report says of it: at least "system", and whatever the numbers depend on.
  virtual Json describe() const = 0;
  /// Whether pictures are looked at, so that their files must exist.
  virtual bool needs_images() const { return true; }

  /// `task` is one of prompt_task_names(). What cannot be read is in `failed`; else throws as the
  /// embedders do.
  virtual Embedded texts(std::span<const std::string> texts, const std::string& task) = 0;
  virtual Embedded images(std::span<const EvalImage> images, const std::string& task) = 0;
  virtual Embedded queries(std::span<const ComposedQuery> queries, const std::string& task) = 0;

  /// Called after the last input of a data set. Throws InputError where vectors are left over.
  virtual void finish() {}
};

using MakeSystem = std::function<std::unique_ptr<System>()>;

/// A system under a condition that is compared with others: another prompt, before training.
struct SystemVariant {
  std::string name;  ///< for people: "without the prompt"
  std::string key;   ///< part of metrics' names; may be empty
  MakeSystem make;
};

/// Progress of the embedding, which is nearly all of an evaluation's time. `what` is "texts",
/// "pictures" or "queries".
using EmbedProgress = std::function<void(const std::string& what, uint64_t done, uint64_t total)>;

/// What all systems that compute vectors are told.
struct SystemOptions {
  /// Folder of the embedding cache; empty = none.
  std::filesystem::path cache;
  /// How texts are drawn where a task asks for pictures of them.
  TextImageOptions text_image;
  EmbedProgress on_progress;
};

}  // namespace e5v::detail
