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
#include "e5v/base/progress.h"
#include "e5v/embed/clip_embedder.h"
#include "e5v/embed/embedder.h"
#include "e5v/eval/text_image.h"
#include "e5v/eval/vectors.h"

namespace e5v {

/// A picture of a data set: a file, or a text that is drawn.
struct EvalImage {
  std::string id;
  std::filesystem::path path;  ///< empty = `drawn_text`
  std::string drawn_text;
};

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

/// The prompts of an experiment instead of the task's own; chat template included.
struct PromptOverride {
  std::string name;
  std::string text, image, composed;  ///< empty = the task's
};

/// What is evaluated: texts, pictures and changed pictures to vectors of length 1 in one space.
/// Protocols know this and nothing of models. For one thread at a time.
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

  /// After the last of a data set. Throws InputError where vectors are left over.
  virtual void finish() {}
};

/// Progress of the embedding, which is nearly all of an evaluation's time. `what` is "texts",
/// "pictures" or "queries".
using EmbedProgress = std::function<void(const std::string& what, uint64_t done, uint64_t total)>;

struct SystemOptions {
  /// Folder of the embedding cache; empty = none.
  std::filesystem::path cache;
  /// How texts are drawn where a task asks for pictures of them.
  TextImageOptions text_image;
  /// SEARLE's sentence: `$` stands for the picture's pseudo-word, `<sent>` for the text.
  std::string searle_template = "a photo of $ that <sent>";
  EmbedProgress on_progress;
};

/// An e5v model; `embedder.normalize` is set to what the system needs.
std::unique_ptr<System> make_e5v_system(EmbedderOptions embedder, const SystemOptions& options,
                                        const PromptOverride& prompts = {});

/// How a query is made of a picture and a text.
enum class Composition {
  kWhole,       ///< by the system itself: e5v's prompt, CLIP's sum
  kSum,         ///< the sum of both vectors
  kImage,       ///< the picture's alone
  kText,        ///< the text's alone
  kPseudoWord,  ///< SEARLE's
};
std::string_view composition_name(Composition composition);

/// `whole`, with queries made of its vectors of pictures and texts: kSum, kImage or kText, what
/// composed retrieval has to be better than. Throws InputError for another composition.
std::unique_ptr<System> make_parts_system(std::unique_ptr<System> whole, Composition composition);

/// CLIP; with kPseudoWord SEARLE, for which the embedder must have φ.
std::unique_ptr<System> make_clip_system(ClipEmbedderOptions embedder, Composition composition,
                                         const SystemOptions& options);

/// Vectors of any other program, as .npy files of float32 or float16 [N, D] in the data set's order
/// of texts, pictures and queries. An empty path is an error once a protocol asks for these.
struct VectorFiles {
  std::filesystem::path texts, images, queries;
};
std::unique_ptr<System> make_vectors_system(const VectorFiles& files);

}  // namespace e5v
