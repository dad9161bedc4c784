#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/file.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/families/load_model.h"
#include "tests/families/golden_batch.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// A model folder whose tensors a test may change before it is loaded.
class LoadModelGoldenTest : public testing::Test {
 protected:
  void SetUp() override { write_model_folder(folder_.path(), golden_); }

  std::map<std::string, at::Tensor> tensors() const {
    return read_tensors(folder_ / "model.safetensors");
  }
  void store(const std::map<std::string, at::Tensor>& tensors) const {
    write_tensors(folder_ / "model.safetensors", tensors);
  }
  at::Tensor states(const LoadOptions& options = {.precision = Precision::kFloat32}) const {
    const at::NoGradGuard no_grad;
    const auto model = load_llava(folder_.path(), options);
    return model->forward(golden_batch(golden_, model->config(), {"composed"}))[0];
  }

  const Golden golden_ = load_golden("model_llama");
  const TemporaryFolder folder_;
  const std::string expected_ = "item.composed.last_hidden_state";
};

TEST_F(LoadModelGoldenTest, ReadsEveryKeyLayoutAndConfigGeneration) {
  for (const KeyLayout layout :
       {KeyLayout::kPublished, KeyLayout::k4_52, KeyLayout::k5xMemory, KeyLayout::k5xSaved}) {
    for (const char* config : {"config.json", "config_5x.json"}) {
      const TemporaryFolder folder;
      write_model_folder(folder.path(), golden_, layout, config);
      const auto model = load_llava(folder.path(), {.precision = Precision::kFloat32});
      const at::NoGradGuard no_grad;
      EXPECT_THAT(model->forward(golden_batch(golden_, model->config(), {"composed"}))[0],
                  AllClose(golden_.expected(expected_), golden_.tolerance("last_hidden_state")))
          << static_cast<int>(layout) << " " << config;
    }
  }
}

TEST_F(LoadModelGoldenTest, CanonicalKeysOfEveryLayoutAreThePublishedOnes) {
  const auto architecture = load_architecture(folder_.path());
  for (const KeyLayout layout :
       {KeyLayout::kPublished, KeyLayout::k4_52, KeyLayout::k5xMemory, KeyLayout::k5xSaved}) {
    for (const auto& [published, key] : renamed_keys(golden_, layout)) {
      EXPECT_EQ(architecture->weight_names().canonical(key), published);
    }
  }
}

TEST_F(LoadModelGoldenTest, NamesAllMissingAndMisshapedTensorsAtOnce) {
  auto changed = tensors();
  changed.erase("image_newline");
  changed.erase("language_model.model.layers.1.mlp.up_proj.weight");
  const std::string norm = "language_model.model.norm.weight";
  changed[norm] = at::ones({5});
  store(changed);
  EXPECT_THAT(message_of<FormatError>([&] { load_model(folder_.path()); }),
              AllOf(HasSubstr("2 missing: image_newline"), HasSubstr("layers.1.mlp.up_proj.weight"),
                    HasSubstr(norm + ": has [5], expected [")));
}

TEST_F(LoadModelGoldenTest, WarnsOfUnexpectedTensorsAndLoads) {
  auto changed = tensors();
  changed["audio_tower.weight"] = at::ones({2});
  store(changed);
  std::string warning;
  load_model(folder_.path(), {.on_warning = [&](const std::string& text) { warning = text; }});
  EXPECT_THAT(warning, HasSubstr("audio_tower.weight"));
}

TEST_F(LoadModelGoldenTest, RefusesWeightsThatAreIntegers) {
  auto changed = tensors();
  changed["image_newline"] = changed["image_newline"].to(at::kLong);
  store(changed);
  EXPECT_THAT(message_of<FormatError>([&] { load_model(folder_.path()); }),
              AllOf(HasSubstr("image_newline"), HasSubstr("I64")));
}

TEST_F(LoadModelGoldenTest, TakesTheNumberOfEmbeddingsFromTheFile) {
  auto changed = tensors();
  const std::string name = "language_model.model.embed_tokens.weight";
  changed[name] = at::cat({changed[name], at::zeros({7, changed[name].size(1)})});
  store(changed);
  EXPECT_THAT(states(), AllClose(golden_.expected(expected_), 5e-5));
}

TEST_F(LoadModelGoldenTest, RefusesHalfPrecisionOnTheCpu) {
  EXPECT_THAT(message_of<ConfigError>(
                  [&] { load_model(folder_.path(), {.precision = Precision::kFloat16}); }),
              HasSubstr("CUDA"));
}

TEST_F(LoadModelGoldenTest, AutoPrecisionFollowsTheCheckpoint) {
  EXPECT_EQ(load_model(folder_.path())->compute_dtype(), at::kFloat);
  auto narrow = tensors();
  for (auto& [name, value] : narrow) value = value.to(at::kBFloat16);
  store(narrow);
  EXPECT_EQ(load_model(folder_.path())->compute_dtype(),
            PackedWeight::has_native_bfloat16() ? at::kBFloat16 : at::kFloat);
}

TEST_F(LoadModelGoldenTest, ReportsProgressUpToTheWhole) {
  uint64_t last = 0, all = 0;
  load_model(folder_.path(), {.on_progress = [&](uint64_t done, uint64_t total) {
               EXPECT_GE(done, last);
               last = done;
               all = total;
             }});
  EXPECT_EQ(last, all);
  EXPECT_GT(all, 0);
}

/// Adapters in PEFT's files, under the names of three families of models.
class AdapterGoldenTest : public LoadModelGoldenTest {
 protected:
  const Golden lora_ = load_golden("model_llama_lora");
};

TEST_F(AdapterGoldenTest, MergedAdaptersGiveTheReferencesStates) {
  for (const auto& [adapter, kind] : lora_.description()["adapters"].items()) {
    for (const bool pack : {false, true}) {
      const at::Tensor merged =
          states({.precision = Precision::kFloat32,
                  .pack = pack,
                  .adapter = lora_.file(adapter + "/adapter_config.json").parent_path()});
      const std::string name = kind.get<std::string>() + ".composed.last_hidden_state";
      EXPECT_THAT(merged, AllClose(lora_.expected(name), 5e-5)) << adapter;
    }
  }
}

TEST_F(AdapterGoldenTest, AnAdapterOfAnotherModelIsNamed) {
  const TemporaryFolder adapter;
  write_file(adapter / "adapter_config.json", R"({"peft_type":"LORA","r":1,"lora_alpha":1})");
  const std::string module = "base_model.model.language_model.model.layers.0.mlp.up_proj";
  write_tensors(adapter / "adapter_model.safetensors",
                {{module + ".lora_A.weight", at::ones({1, 3})},
                 {module + ".lora_B.weight", at::ones({2, 1})}});
  EXPECT_THAT(
      message_of<ConfigError>([&] { load_model(folder_.path(), {.adapter = adapter.path()}); }),
      AllOf(HasSubstr("layers.0.mlp.up_proj"), HasSubstr("[2, 3]")));
  write_tensors(adapter / "adapter_model.safetensors",
                {{"base_model.model.model.layers.77.mlp.up_proj.lora_A.weight", at::ones({1, 3})},
                 {"base_model.model.model.layers.77.mlp.up_proj.lora_B.weight", at::ones({2, 1})}});
  EXPECT_THAT(
      message_of<ConfigError>([&] { load_model(folder_.path(), {.adapter = adapter.path()}); }),
      HasSubstr("layers.77.mlp.up_proj"));
}

TEST_F(AdapterGoldenTest, RefusesWhatIsNotAPlainLora) {
  const TemporaryFolder adapter;
  write_tensors(adapter / "adapter_model.safetensors", {{"x.lora_A.weight", at::ones({1, 3})}});
  for (const auto& [config, word] : std::map<std::string, std::string>{
           {R"({"peft_type":"IA3"})", "IA3"},
           {R"({"lora_alpha":1,"use_dora":true})", "use_dora"},
           {R"({"lora_alpha":1,"bias":"all"})", "bias"},
           {R"({"lora_alpha":1,"modules_to_save":["lm_head"]})", "modules_to_save"},
           {R"({"r":1})", "lora_alpha"},
           {R"({"lora_alpha":1})", "lora_B"}}) {
    write_file(adapter / "adapter_config.json", config);
    EXPECT_THAT(
        message_of<ConfigError>([&] { load_model(folder_.path(), {.adapter = adapter.path()}); }),
        HasSubstr(word));
  }
}

}  // namespace
}  // namespace e5v::detail
