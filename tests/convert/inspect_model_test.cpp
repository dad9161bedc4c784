#include "e5v/convert/inspect_model.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/convert/random_model.h"
#include "e5v/families/model_preset.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A copy of a checkpoint's tensors under names and shapes that `change` may alter.
template <class Change>
void rewrite(const fs::path& folder, Change change) {
  fs::rename(folder / "model.safetensors", folder / "old.safetensors");
  const Checkpoint old = Checkpoint::open(folder / "old.safetensors");
  std::vector<TensorSpec> tensors;
  std::vector<std::string> sources;
  for (const std::string& name : old.names()) {
    const TensorView view = *old.find(name);
    TensorSpec tensor{name, view.dtype, {view.shape.begin(), view.shape.end()}};
    if (!change(tensor)) continue;
    tensors.push_back(tensor);
    sources.push_back(name);
  }
  CheckpointWriter writer(folder, tensors);
  for (size_t i = 0; i < tensors.size(); ++i)
    writer.write(tensors[i].name, old.find(sources[i])->bytes);
  writer.commit();
  fs::remove(folder / "old.safetensors");
}

TEST(InspectModel, AConfigurationAloneIsEnough) {
  TemporaryFolder folder;
  write_file(folder / "config.json", model_preset("1b").config.dump());
  const ModelInspection found = inspect_model(folder.path());
  EXPECT_FALSE(found.has_weights);
  EXPECT_EQ(found.problems(), "");
  EXPECT_THAT(found.missing_files, ElementsAre("tokenizer.json", "preprocessor_config.json"));
  EXPECT_EQ(found.architecture->text().num_hidden_layers, 22);
  // Two bytes a parameter but for norms, biases and the tower's positions, which stay float32.
  const double parameters = static_cast<double>(found.num_parameters());
  EXPECT_NEAR(static_cast<double>(found.memory_bytes.at(Precision::kBFloat16)) / (2 * parameters),
              1, 0.002);
  EXPECT_GT(found.memory_bytes.at(Precision::kFloat32), found.memory_bytes.at(Precision::kFloat16));
}

TEST(InspectModel, AllThatDoesNotFitIsNamedAtOnce) {
  TemporaryFolder folder;
  write_random_model(folder / "m", {});
  rewrite(folder / "m", [](TensorSpec& tensor) {
    if (tensor.name == "multi_modal_projector.linear_2.bias") return false;
    if (tensor.name.ends_with("layers.1.mlp.up_proj.weight")) return false;
    if (tensor.name == "image_newline") tensor.shape = {8, 8};
    if (tensor.name == "language_model.lm_head.weight") tensor.name = "extra.weight";
    return true;
  });
  const ModelInspection found = inspect_model(folder / "m");
  EXPECT_THAT(found.report.missing,
              testing::UnorderedElementsAre("multi_modal_projector.linear_2.bias",
                                            "language_model.model.layers.1.mlp.up_proj.weight"));
  EXPECT_THAT(found.report.misshaped, ElementsAre(HasSubstr("image_newline: has [8, 8]")));
  EXPECT_THAT(found.report.unexpected, ElementsAre("extra.weight"));
  EXPECT_EQ(found.num_unused_tensors, 18u);
  EXPECT_THAT(found.problems(), AllOf(HasSubstr("2 missing"), HasSubstr("1 of another shape"),
                                      Not(HasSubstr("extra.weight"))));
}

TEST(InspectModel, UnexpectedTensorsAreNoProblem) {
  TemporaryFolder folder;
  write_random_model(folder / "m", {});
  rewrite(folder / "m", [](TensorSpec& tensor) {
    if (tensor.name == "language_model.lm_head.weight") tensor.name = "extra.weight";
    return true;
  });
  const ModelInspection found = inspect_model(folder / "m");
  EXPECT_THAT(found.report.unexpected, ElementsAre("extra.weight"));
  EXPECT_EQ(found.problems(), "");
}

TEST(InspectModel, BrokenWeightsDoNotHideTheRest) {
  TemporaryFolder folder;
  write_random_model(folder / "m", {});
  fs::resize_file(folder / "m/model.safetensors", 1000);
  const ModelInspection found = inspect_model(folder / "m");
  EXPECT_FALSE(found.has_weights);
  EXPECT_THAT(found.weights_error, HasSubstr("incomplete download?"));
  EXPECT_EQ(found.problems(), found.weights_error);
  EXPECT_THAT(found.missing_files, IsEmpty());
  EXPECT_GT(found.num_parameters(), 0u);
}

TEST(InspectModel, AFolderWithoutAConfigurationIsAFileError) {
  TemporaryFolder folder;
  EXPECT_THROW(inspect_model(folder.path()), FileError);
  EXPECT_THROW(inspect_model(folder / "none"), FileError);
}

}  // namespace
}  // namespace e5v::detail
