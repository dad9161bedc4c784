#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "e5v/base/options.h"
#include "e5v/base/progress.h"
#include "e5v/model/clip.h"
#include "e5v/model/searle_phi.h"
#include "e5v/nn/keyed_dropout.h"
#include "e5v/text/tokenizer.h"
#include "e5v/train/concepts.h"
#include "e5v/train/objective.h"
#include "e5v/train/picture_features.h"

namespace e5v {

/// How SEARLE's φ is trained, besides TrainOptions.
struct PhiOptions {
  /// Cosines are divided by it; 0 = the CLIP's own, which it was trained with.
  double temperature = 0;
  /// Width of φ's two inner layers; 0 = four times the features', as published.
  int64_t hidden_size = 0;
  /// Share of the inner layers' outputs that is dropped.
  double dropout = 0.5;
  /// Concepts, and at will phrases about them (concepts.h); empty = everyday things.
  std::filesystem::path concepts;
  /// Each picture's concept is drawn from so many that lie nearest to it.
  int64_t concepts_per_picture = 15;
  /// Weight of the loss that keeps pseudo-words near what words do; 0 = none.
  double concept_weight = 0.75;

  void register_options(OptionRegistry& registry);
  /// Throws ConfigError.
  void validate() const;
};

/// φ on pictures without any text, for a frozen CLIP: with the pseudo-word of a picture put into "a
/// photo of $", the text's features lie nearer to that picture's than to the others' of the batch.
///
///   loss = InfoNCE(T("a photo of $"), I) in both directions, cosines divided by the temperature
///        + concept_weight · mean (1 − cos(T(phrase with $), T(phrase with the concept)))
///
/// where the concept is one of those whose "a photo of …" lie nearest to the picture, and the
/// phrase one of that concept's; both are drawn anew each time. The second term is SEARLE's
/// (Baldrati et al. 2023, 3.2), which keeps the pseudo-word usable among words. SEARLE distils φ
/// from pseudo-words that were optimised picture by picture; here φ is trained on the pictures
/// directly.
class PhiObjective final : public Objective {
 public:
  struct Files {
    std::filesystem::path model;          ///< a CLIP folder
    std::filesystem::path pictures;       ///< a folder, or JSON lines with "image"
    std::filesystem::path eval_pictures;  ///< held out; empty: none
    std::filesystem::path cache;          ///< folder for finished features; empty: none
    OnBadRow on_bad_picture = OnBadRow::kStop;
  };

  /// Loads the model and computes the pictures' features, which can take long. Throws FileError,
  /// FormatError, InputError, ConfigError, e.g. with more than one process.
  PhiObjective(const Files& files, const TrainOptions& options, const PhiOptions& phi_options,
               const ProcessGroup& group, const ProgressCallback& on_progress,
               const std::function<void(const std::string&)>& on_warning);

  int64_t num_rows() const override { return static_cast<int64_t>(pictures_.paths.size()); }
  /// Of the picture, from 1.
  uint64_t line_of(uint32_t row) const override { return uint64_t{row} + 1; }
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  int64_t num_weight_bytes() const override;
  Json own_options() const override;

  ObjectiveResult add_gradients(const std::vector<uint32_t>& rows, int64_t step) override;
  /// `eval_loss` without the concepts' term, `eval_recall_at_1` (the share of pictures' texts whose
  /// nearest picture in the batch is theirs), `eval_cosine` between the two.
  Json evaluate() override;
  void add_costs(int64_t num_rows, TrainingCost& cost,
                 std::optional<TrainingCost>& picture_cost) const override;

  void save(const std::filesystem::path& folder) const override;
  void load(const std::filesystem::path& folder) override;
  /// "phi.safetensors", as `e5v eval --phi` takes it.
  void write_result(const std::filesystem::path& folder) const override;

 private:
  /// A row's draw.
  struct Draw {
    std::string phrase;    ///< with a `$`
    std::string sentence;  ///< with the concept in its place
  };

  std::vector<int64_t> input_ids(std::string_view text) const;
  /// The same with ClipTextBatch::kPseudoWord for the first `$`.
  std::vector<int64_t> pseudo_word_ids(std::string_view text) const;
  at::Tensor text_features(const std::vector<std::string>& texts) const;
  void find_nearest_concepts();
  Draw draw(uint32_t row, int64_t step) const;
  /// Pseudo-words of `features`; `keys` [N] as KeyedDropout takes them, or undefined.
  at::Tensor pseudo_words(const at::Tensor& features, const at::Tensor& keys) const;
  at::Tensor logit_scale() const;
  bool has_concepts() const { return phi_options_.concept_weight > 0; }

  TrainOptions options_;
  PhiOptions phi_options_;
  Tokenizer tokenizer_;
  ImageProcessor image_processor_;
  std::unique_ptr<Clip> clip_;
  std::vector<int64_t> template_ids_;  ///< of "a photo of $"
  PictureFeatures pictures_;
  std::optional<PictureFeatures> eval_pictures_;
  std::vector<Concept> concepts_;
  at::Tensor nearest_concepts_;  ///< [pictures, concepts_per_picture] int64
  std::unique_ptr<SearlePhi> phi_;
  mutable KeyedDropout dropout_;
  std::vector<Parameter> parameters_;
};

}  // namespace e5v
