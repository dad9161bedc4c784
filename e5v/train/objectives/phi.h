#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/model/clip.h"
#include "e5v/model/searle_phi.h"
#include "e5v/nn/keyed_dropout.h"
#include "e5v/text/tokenizer.h"
#include "e5v/train/concepts.h"
#include "e5v/train/objective.h"
#include "e5v/train/picture_features.h"

namespace e5v::detail {

/// How SEARLE's φ is trained.
struct PhiTrainOptions final : TrainOptions {
  /// Those of every objective that are others for φ.
  PhiTrainOptions();

  /// What CLIP computes in, fp32 or bf16.
  Precision base_precision = Precision::kFloat32;
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

  std::string_view objective() const override { return "phi"; }
  void register_options(OptionRegistry& registry) override;
  void validate() const override;
  std::unique_ptr<Objective> open(const TrainFiles& files, ProcessGroup& group,
                                  const ObjectiveCallbacks& callbacks) const override;
  double flops_per_token(const std::filesystem::path& model_dir) const override;
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
  /// Of a CLIP folder, and pictures as a folder or JSON lines with "image". Loads the model and
  /// computes the pictures' features, which can take long; finished ones are kept in
  /// `files.output`, if there is one. Throws FileError, FormatError, InputError, ConfigError, e.g.
  /// with more than one process.
  PhiObjective(const TrainFiles& files, const PhiTrainOptions& options, const ProcessGroup& group,
               const ObjectiveCallbacks& callbacks);

  int64_t num_rows() const override { return static_cast<int64_t>(pictures_.paths.size()); }
  /// Of the picture, from 1.
  uint64_t line_of(uint32_t row) const override { return uint64_t{row} + 1; }
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  int64_t num_weight_bytes() const override;

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
  bool has_concepts() const { return options_.concept_weight > 0; }

  PhiTrainOptions options_;
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

}  // namespace e5v::detail
