#include "e5v/convert/quantize_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/convert/inspect_model.h"
#include "e5v/convert/random_model.h"
#include "e5v/families/llava_next.h"
#include "e5v/families/load_model.h"
#include "e5v/families/registry.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Of 9 and 5 random tokens.
PackedBatch two_texts() {
  PackedBatch batch;
  batch.input_ids = at::randint(0, 400, {14}, at::kLong);
  batch.position_ids = at::cat({at::arange(9), at::arange(5)});
  batch.cu_seqlens = at::tensor({0, 9, 14}, at::kInt);
  return batch;
}

class QuantizeCheckpointTest : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    write_random_model(original(), {});
    quantize_checkpoint(original(), quantized(), GetParam(), [&](uint64_t done, uint64_t total) {
      EXPECT_GE(done, done_);
      done_ = done;
      total_ = total;
    });
  }
  fs::path original() const { return folder_ / "tiny"; }
  fs::path quantized() const { return folder_ / "quantized"; }

  /// The states of two texts and a picture of one tile.
  static at::Tensor states(const fs::path& model_dir, Precision precision) {
    const at::NoGradGuard no_grad;
    const std::unique_ptr<Model> model = load_model(model_dir, {.precision = precision});
    const auto& llava = dynamic_cast<const LlavaNext&>(*model);
    const int64_t size = llava.config().vision.image_size;
    at::manual_seed(4);
    const at::Tensor image = llava.encode_tiles(at::randn({1, 3, size, size}));
    return at::cat({model->forward(two_texts()).flatten(), image.to(at::kFloat).flatten()});
  }

  TemporaryFolder folder_;
  uint64_t done_ = 0, total_ = 0;
};

TEST_P(QuantizeCheckpointTest, LoadsWithTheBitsOfRoundingOnLoad) {
  const at::Tensor expected = states(original(), GetParam());
  EXPECT_TRUE(at::equal(states(quantized(), Precision::kAuto), expected));
  EXPECT_TRUE(at::equal(states(quantized(), GetParam()), expected));
  EXPECT_FALSE(at::equal(states(original(), Precision::kFloat32), expected));
  EXPECT_EQ(done_, total_);
  EXPECT_GT(total_, 0u);
}

TEST_P(QuantizeCheckpointTest, CopiesWhatIsNoMatrixProductsAsItIs) {
  const Checkpoint before = Checkpoint::open(original()), after = Checkpoint::open(quantized());
  const auto bytes_of = [](const Checkpoint& checkpoint, const char* name) {
    const auto bytes = checkpoint.find(name).value().bytes;
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  for (const char* name :
       {"language_model.model.embed_tokens.weight", "language_model.lm_head.weight",
        "language_model.model.layers.1.input_layernorm.weight", "image_newline",
        "vision_tower.vision_model.post_layernorm.bias"}) {
    EXPECT_EQ(bytes_of(before, name), bytes_of(after, name)) << name;
  }
  EXPECT_EQ(read_file(original() / "tokenizer.json"), read_file(quantized() / "tokenizer.json"));
  EXPECT_LT(fs::file_size(quantized() / "model.safetensors"),
            fs::file_size(original() / "model.safetensors"));
}

TEST_P(QuantizeCheckpointTest, InspectSaysWhatItIs) {
  const ModelInspection found = inspect_model(quantized());
  EXPECT_EQ(found.problems(), "");
  EXPECT_EQ(found.stored_precision, GetParam());
  EXPECT_EQ(found.report.unexpected, std::vector<std::string>());
  EXPECT_EQ(found.memory_bytes.size(), 1u);
}

TEST_P(QuantizeCheckpointTest, IsNotToBeHadOtherwise) {
  EXPECT_THAT(message_of<ConfigError>([&] { states(quantized(), Precision::kBFloat16); }),
              HasSubstr(std::string("quantised to ") + precision_name(GetParam())));
  EXPECT_THAT(message_of<ConfigError>([&] { load_model(quantized(), {.pack = false}); }),
              HasSubstr("embedding only"));
  EXPECT_THAT(message_of<ConfigError>([&] { load_model(quantized(), {.adapter = original()}); }),
              HasSubstr("merge it into those that they were made of"));
  EXPECT_THAT(
      message_of<ConfigError>([&] { quantize_checkpoint(quantized(), folder_ / "b", GetParam()); }),
      HasSubstr("already"));
  EXPECT_FALSE(fs::exists(folder_ / "b"));
}

TEST_P(QuantizeCheckpointTest, NamesMissingTensorsOfARoundedWeight) {
  // A part of the file's own format goes missing under another name of the same length.
  std::string file = read_file(quantized() / "model.safetensors");
  // Both of this model's text layers are among those that int8 leaves in bf16.
  const std::string name = GetParam() == Precision::kInt8
                               ? "multi_modal_projector.linear_1.weight_"
                               : "language_model.model.layers.0.mlp.down_proj.weight_";
  const size_t at = file.find(name);
  ASSERT_NE(at, std::string::npos);
  file[at + name.size() - 1] = '-';
  write_file(quantized() / "model.safetensors", file);
  EXPECT_THAT(message_of<FormatError>([&] { load_model(quantized()); }),
              HasSubstr("1 missing: " + name));
}

TEST_P(QuantizeCheckpointTest, LeavesNothingBehindWhereItFails) {
  fs::resize_file(original() / "model.safetensors", 5000);
  EXPECT_THROW(quantize_checkpoint(original(), folder_ / "b", GetParam()), FormatError);
  EXPECT_THROW(quantize_checkpoint(original(), quantized(), GetParam()), FileError);
  size_t num_entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_.path())) ++num_entries;
  EXPECT_EQ(num_entries, 2u);
}

INSTANTIATE_TEST_SUITE_P(Precisions, QuantizeCheckpointTest,
                         testing::Values(Precision::kInt8, Precision::kInt4, Precision::kNf4),
                         [](const auto& info) { return std::string(precision_name(info.param)); });

/// 64 texts of 12 tokens that begin and end alike, as prompts do.
PackedBatch prompts_of(int64_t seed) {
  constexpr int64_t kTexts = 64, kTokens = 12;
  at::manual_seed(seed);
  const at::Tensor ids = at::randint(0, 300, {kTexts, kTokens}, at::kLong);
  ids.narrow(1, 0, 4).copy_(at::arange(20, 24));
  ids.narrow(1, 9, 3).copy_(at::arange(30, 33));
  PackedBatch batch;
  batch.input_ids = ids.flatten();
  batch.position_ids = at::arange(kTokens).repeat({kTexts});
  batch.cu_seqlens = at::arange(kTexts + 1, at::kInt) * kTokens;
  return batch;
}

/// A model of four text layers, the last two of which int4 has in 4 bits.
class Int4CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string words;
    for (int i = 0; i < 500; ++i) words += fmt::format("word{} ", i);
    write_file(folder_ / "texts.txt", words + "\n");
    write_random_model(folder_ / "original",
                       {.preset = "shapes-mini", .texts = folder_ / "texts.txt"});
    quantize_checkpoint(folder_ / "original", folder_ / "nearest", Precision::kInt4);
  }

  at::Tensor states(const char* name, Precision precision) const {
    const at::NoGradGuard no_grad;
    return load_model(folder_ / name, {.precision = precision})->forward(prompts_of(2));
  }

  TemporaryFolder folder_;
};

TEST_F(Int4CheckpointTest, LoadsWithTheBitsOfRoundingOnLoad) {
  EXPECT_TRUE(at::equal(states("nearest", Precision::kAuto), states("original", Precision::kInt4)));
}

TEST_F(Int4CheckpointTest, HasTheFirstLayersIn8Bits) {
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "nearest");
  for (const int layer : {0, 1, 2, 3}) {
    const std::string name =
        fmt::format("language_model.model.layers.{}.mlp.down_proj.weight_multiplier", layer);
    EXPECT_EQ(checkpoint.find(name).has_value(), layer >= 2) << name;
  }
}

TEST_F(Int4CheckpointTest, CalibratedIsNearerToTheOriginal) {
  const PackedBatch calibration = prompts_of(1);
  uint64_t done = 0, total = 1;
  quantize_checkpoint(
      folder_ / "original", folder_ / "calibrated", Precision::kInt4,
      [&](uint64_t now, uint64_t all) { done = now, total = all; }, &calibration);
  EXPECT_EQ(done, total);
  EXPECT_EQ(inspect_model(folder_ / "calibrated").problems(), "");

  const at::Tensor exact = states("original", Precision::kFloat32);
  const auto error = [&](const char* name) {
    return ((states(name, Precision::kAuto) - exact).norm() / exact.norm()).item<double>();
  };
  EXPECT_LT(error("calibrated"), 0.75 * error("nearest"));
}

TEST_F(Int4CheckpointTest, OnlyInt4IsCalibrated) {
  const PackedBatch calibration = prompts_of(1);
  EXPECT_THAT(message_of<ConfigError>([&] {
                quantize_checkpoint(folder_ / "original", folder_ / "int8", Precision::kInt8,
                                    nullptr, &calibration);
              }),
              HasSubstr("int8 is not calibrated; expected int4"));
}

TEST_F(Int4CheckpointTest, OfAnEarlierLayoutIsRefused) {
  Json config = read_json(folder_ / "nearest/config.json");
  config["quantization_config"]["version"] = 1;
  write_file(folder_ / "nearest/config.json", config.dump());
  EXPECT_THAT(message_of<FormatError>([&] { load_model(folder_ / "nearest"); }),
              HasSubstr("expected version 2"));
}

TEST(StoredPrecisionTest, RefusesWhatOthersQuantised) {
  const TemporaryFolder folder;
  write_random_model(folder / "tiny", {});
  Json config = read_json(folder / "tiny/config.json");
  config["quantization_config"] = {{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}};
  write_file(folder / "tiny/config.json", config.dump());
  EXPECT_THAT(message_of<ConfigError>([&] { load_model(folder / "tiny"); }),
              HasSubstr("quantised by 'bitsandbytes', expected floating-point weights"));
  config["quantization_config"] = {{"quant_method", "e5v"}, {"precision", "int2"}, {"version", 1}};
  write_file(folder / "tiny/config.json", config.dump());
  EXPECT_THAT(message_of<FormatError>([&] { load_model(folder / "tiny"); }), HasSubstr("int2"));
}

}  // namespace
}  // namespace e5v::detail
