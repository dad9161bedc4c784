#include "e5v/convert/merge_adapter.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/nn/tensor_file.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;

class MergeAdapterGoldenTest : public ::testing::Test {
 protected:
  MergeAdapterGoldenTest() {
    files_.model = load_golden("end_to_end_tiny").file("config.json").parent_path();
    files_.adapter = load_golden("train_steps").file("adapter/adapter_config.json").parent_path();
    files_.output = folder_ / "merged";
  }
  std::string error_of() {
    try {
      merge_adapter(files_);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  TemporaryFolder folder_;
  MergeFiles files_;
};

TEST_F(MergeAdapterGoldenTest, MergedAndUnmergedEmbeddingsAgree) {
  merge_adapter(files_);
  EXPECT_GT(check_merge(files_), 0.99999);
  // Names, types and all that is not updated stay as they were.
  const auto before = read_tensor_file(files_.model / "model.safetensors");
  const auto after = read_tensor_file(files_.output / "model.safetensors");
  ASSERT_EQ(before.size(), after.size());
  for (const auto& [name, value] : before) {
    const bool updated =
        name.starts_with("language_model.model.layers") && name.find("_proj") != std::string::npos;
    EXPECT_EQ(at::equal(value, after.at(name)), !updated) << name;
  }
  EXPECT_EQ(read_file(files_.model / "tokenizer.json"),
            read_file(files_.output / "tokenizer.json"));
}

TEST_F(MergeAdapterGoldenTest, AMergeThatWentWrongIsNoticed) {
  merge_adapter(files_);
  const auto path = files_.output / "model.safetensors";
  auto tensors = read_tensor_file(path);
  tensors.at("language_model.model.layers.0.mlp.down_proj.weight").mul_(-1);
  write_tensor_file(path, tensors);
  EXPECT_THROW(check_merge(files_), Error);
}

TEST_F(MergeAdapterGoldenTest, AnAdapterOfAnotherModelIsRefusedBeforeAnythingIsWritten) {
  files_.adapter =
      load_golden("model_llama_lora").file("adapter_published/adapter_config.json").parent_path();
  EXPECT_THAT(error_of(), HasSubstr("made for another model?"));
  EXPECT_FALSE(std::filesystem::exists(files_.output));
}

TEST_F(MergeAdapterGoldenTest, AFolderThatIsInUseIsNotOverwritten) {
  std::filesystem::create_directories(files_.output);
  write_file(files_.output / "config.json", "{}");
  EXPECT_THAT(error_of(), HasSubstr("expected a new or empty folder"));
}

}  // namespace
}  // namespace e5v::detail
