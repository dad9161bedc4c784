#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/image/image_processor.h"
#include "e5v/model/clip.h"
#include "e5v/text/tokenizer.h"
#include "e5v/train/objective.h"
#include "e5v/train/triplets.h"

namespace e5v::detail {

struct ClipTrainOptions final : TrainOptions {
  /// "text_tower", "vision_tower", each with its projection, or both.
  std::vector<std::string> trainable = {"text_tower", "vision_tower"};
  /// What products are computed in, fp32 or bf16; weights are trained in fp32.
  Precision base_precision = Precision::kBFloat16;

  std::string_view objective() const override { return "clip"; }
  void register_options(OptionRegistry& registry) override;
  void validate() const override;
  std::unique_ptr<Objective> open(const TrainFiles& files, ProcessGroup& group,
                                  const ObjectiveCallbacks& callbacks) const override;
  double flops_per_token(const std::filesystem::path& model_dir) const override;
};

/// Both towers of a CLIP folder on rows of a picture and a text, with a learned temperature: from
/// random weights, or on from published ones. As the paper has it, gains, biases and the
/// temperature do not decay, and cosines are multiplied by at most 100.
class ClipObjective final : public Objective {
 public:
  /// Opens the data and loads the model. Throws FileError, FormatError; ConfigError, e.g. where
  /// pictures are missing (how many, and the first); FormatError naming the first row that is not a
  /// picture and a text.
  ClipObjective(const TrainFiles& files, const ClipTrainOptions& options, ProcessGroup& group,
                const ObjectiveCallbacks& callbacks);

  int64_t num_rows() const override { return static_cast<int64_t>(data_.size()); }
  uint64_t line_of(uint32_t row) const override { return data_.line_of(row); }
  const std::vector<Parameter>& parameters() const override { return parameters_; }
  int64_t num_weight_bytes() const override;

  ObjectiveResult add_gradients(const std::vector<uint32_t>& rows, int64_t step) override;
  /// Of the whole batches of the held-out rows: `eval_loss`, `eval_image_recall_at_1` and
  /// `eval_text_recall_at_1` (the share of texts whose nearest picture in the batch is theirs, and
  /// of pictures likewise); and the temperature.
  Json evaluate() override;
  void add_costs(int64_t num_rows, TrainingCost& cost,
                 std::optional<TrainingCost>& picture_cost) const override;

  void save(const std::filesystem::path& folder) const override;
  void load(const std::filesystem::path& folder) override;
  /// "model": the checkpoint folder with its new weights.
  void write_result(const std::filesystem::path& folder) const override;

 private:
  struct MicroBatch {
    std::vector<std::vector<int64_t>> input_ids;
    std::vector<ImageTiles> pictures;
  };

  std::vector<MicroBatch> make_batches(const TripletFile& file,
                                       const std::vector<uint32_t>& rows) const;
  /// Features of pictures and of texts, side by side: [rows, 2 P].
  at::Tensor encode(const MicroBatch& batch) const;
  int64_t tokens_of_picture() const { return model_->config().vision.num_patches() + 1; }

  std::filesystem::path model_dir_;
  ClipTrainOptions options_;
  ProcessGroup& group_;
  TripletFile data_;
  std::optional<TripletFile> eval_data_;
  Tokenizer tokenizer_;
  ImageProcessor image_processor_;
  std::unique_ptr<Clip> model_;
  std::vector<Parameter> parameters_;
  at::Tensor logit_scale_;  // one of them
};

}  // namespace e5v::detail
