#include "e5v/convert/random_model.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/checkpoint/convert.h"
#include "e5v/convert/inspect_model.h"
#include "e5v/embed/prepare.h"
#include "e5v/families/llava_config.h"
#include "e5v/families/load_model.h"
#include "e5v/families/model_preset.h"
#include "e5v/families/registry.h"
#include "e5v/model/clip.h"
#include "e5v/text/tokenizer.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;

std::vector<float> values_of(const Checkpoint& checkpoint, const std::string& name) {
  const TensorView tensor = checkpoint.find(name).value();
  std::vector<float> values(tensor.bytes.size() / dtype_bytes(tensor.dtype));
  convert_to_float32(tensor.dtype, tensor.bytes, values);
  return values;
}

struct Moments {
  double mean = 0, deviation = 0;
};

Moments moments_of(const std::vector<float>& values) {
  Moments moments;
  for (const float value : values) moments.mean += value / static_cast<double>(values.size());
  for (const float value : values) {
    moments.deviation += std::pow(value - moments.mean, 2) / static_cast<double>(values.size());
  }
  moments.deviation = std::sqrt(moments.deviation);
  return moments;
}

TEST(RandomModel, TheFolderIsComplete) {
  TemporaryFolder folder;
  uint64_t done = 0, total = 0;
  write_random_model(folder / "a/tiny", {}, [&](uint64_t done_bytes, uint64_t total_bytes) {
    EXPECT_GT(done_bytes, done);
    done = done_bytes;
    total = total_bytes;
  });
  EXPECT_EQ(done, total);
  const ModelInspection found = inspect_model(folder / "a/tiny");
  EXPECT_EQ(found.problems(), "");
  EXPECT_TRUE(found.has_weights);
  EXPECT_THAT(found.missing_files, IsEmpty());
  EXPECT_THAT(found.report.unexpected, IsEmpty());
  // The head, the tower's last layer (8 linears and norms of 2 tensors each) and its last norm.
  EXPECT_EQ(found.num_unused_tensors, 1u + 16u + 2u);
  EXPECT_EQ(found.stored_types.size(), 1u);
  EXPECT_EQ(found.stored_types.at(DType::BF16).num_bytes, total);
  const Tokenizer tokenizer = Tokenizer::load(folder / "a/tiny");
  const LlavaConfig config = LlavaConfig::load(folder / "a/tiny");
  EXPECT_EQ(tokenizer.special_token_ids().image, config.image_token_index);
  EXPECT_LE(tokenizer.vocab_size(), config.text.vocab_size);
  EXPECT_NO_THROW(load_model(folder / "a/tiny"));
  // Nothing is left beside it.
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "a"), {}), 1);
}

TEST(RandomModel, TheMiniatureHasTheWordsOfItsTexts) {
  TemporaryFolder folder;
  write_file(folder / "texts.jsonl", R"({"value": "a small red disc. Summary above sentence:"})");
  const RandomModelOptions options{.preset = "shapes-mini", .texts = folder / "texts.jsonl"};
  write_random_model(folder / "mini", options);
  const ModelInspection found = inspect_model(folder / "mini");
  EXPECT_EQ(found.problems(), "");
  EXPECT_THAT(found.missing_files, IsEmpty());
  EXPECT_EQ(found.architecture->describe().json["architecture"], "llava");
  const Tokenizer tokenizer = Tokenizer::load(folder / "mini");
  const LlavaConfig config = LlavaConfig::load(folder / "mini");
  EXPECT_EQ(tokenizer.special_token_ids().image, config.image_token_index);
  EXPECT_TRUE(tokenizer.token_to_id("disc"));
  EXPECT_LE(tokenizer.vocab_size(), config.text.vocab_size);
  EXPECT_NO_THROW(load_model(folder / "mini"));
  // Embeddings as large as what the layers add; what they add, small in proportion to their number.
  const Checkpoint checkpoint = Checkpoint::open(folder / "mini");
  const auto deviation = [&](const std::string& name) {
    return moments_of(values_of(checkpoint, name)).deviation;
  };
  EXPECT_NEAR(deviation("language_model.model.embed_tokens.weight"), 0.5, 0.02);
  EXPECT_NEAR(deviation("language_model.model.layers.0.self_attn.o_proj.weight"),
              1 / std::sqrt(128.0 * 8), 0.002);
  EXPECT_EQ(deviation("multi_modal_projector.linear_1.bias"), 0);
}

TEST(RandomModel, AQwen3VlEmbeds) {
  TemporaryFolder folder;
  write_random_model(folder / "qwen", {.preset = "qwen3-vl-tiny"});
  const ModelInspection found = inspect_model(folder / "qwen");
  EXPECT_EQ(found.problems(), "");
  EXPECT_THAT(found.missing_files, IsEmpty());
  EXPECT_EQ(found.num_unused_tensors, 0u);
  EXPECT_EQ(found.architecture->describe().json["architecture"], "qwen3_vl");
  std::vector<std::string> parts;
  for (const ModelInspection::Part& part : found.parts) parts.push_back(part.name);
  EXPECT_THAT(parts, testing::ElementsAre("merger", "DeepStack mergers", "vision tower",
                                          "token embeddings", "language model"));
  const ItemPreparer preparer(folder / "qwen");
  EXPECT_EQ(preparer.chat_template(), ChatTemplate::kQwen3VlEmbedding);
  Item item;
  item.images.emplace_back(Image(480, 640));
  const PreparedItem prepared = preparer.prepare(item, {});
  EXPECT_EQ(std::count(prepared.input_ids.begin(), prepared.input_ids.end(), kImageFeature), 300);
  const auto state = load_model(folder / "qwen")->forward(preparer.collate({&prepared, 1}));
  EXPECT_EQ(state.sizes(), at::IntArrayRef({1, 64}));
}

TEST(RandomModel, AClipOfTheWorldsWordsCanBeLoadedAndHasClipsTemperature) {
  TemporaryFolder folder;
  write_file(folder / "texts.txt", "a small red disc");
  const RandomModelOptions options{
      .preset = "shapes-mini-clip", .texts = folder / "texts.txt", .dtype = DType::F32};
  write_random_model(folder / "clip", options);
  const auto clip = load_clip(folder / "clip");
  EXPECT_NEAR(clip->logit_scale().item<double>(), std::log(1 / 0.07), 1e-6);
  const Tokenizer tokenizer = Tokenizer::load(folder / "clip");
  EXPECT_LE(tokenizer.vocab_size(), clip->config().text.vocab_size);
  EXPECT_EQ(tokenizer.token_to_id("<|endoftext|>"), clip->config().text.eos_token_id);
  const auto ids = tokenizer.encode("a small red disc");
  EXPECT_EQ(ids.size(), 6u);
  EXPECT_EQ(clip->encode_text(ClipTextBatch::of({ids})).sizes(), at::IntArrayRef({1, 128}));
  EXPECT_EQ(clip->encode_images(at::zeros({2, 3, 48, 48})).sizes(), at::IntArrayRef({2, 128}));
}

TEST(RandomModel, TextsAreForTheMiniatureOnly) {
  TemporaryFolder folder;
  write_file(folder / "texts.txt", "words");
  EXPECT_THROW(write_random_model(folder / "mini", {.preset = "shapes-mini"}), ConfigError);
  EXPECT_THROW(write_random_model(folder / "tiny", {.texts = folder / "texts.txt"}), ConfigError);
}

TEST(RandomModel, EqualSeedsGiveEqualWeightsAndTypesOnlyRoundThem) {
  TemporaryFolder folder;
  write_random_model(folder / "a", {.seed = 5});
  write_random_model(folder / "b", {.seed = 5});
  write_random_model(folder / "c", {.seed = 6});
  write_random_model(folder / "d", {.seed = 5, .dtype = DType::F32});
  const std::string weights = read_file(folder / "a/model.safetensors");
  EXPECT_TRUE(weights == read_file(folder / "b/model.safetensors"));
  EXPECT_FALSE(weights == read_file(folder / "c/model.safetensors"));
  const std::string name = "language_model.model.layers.1.mlp.up_proj.weight";
  const std::vector<float> rounded = values_of(Checkpoint::open(folder / "a"), name);
  const std::vector<float> exact = values_of(Checkpoint::open(folder / "d"), name);
  ASSERT_EQ(rounded.size(), exact.size());
  for (size_t i = 0; i < exact.size(); ++i) {
    ASSERT_EQ(rounded[i], bfloat16_to_float32(float32_to_bfloat16(exact[i])));
  }
}

TEST(RandomModel, WeightsHaveTheDeviationThatIsPromised) {
  TemporaryFolder folder;
  write_random_model(folder / "a", {.seed = 1, .dtype = DType::F32});
  const Checkpoint checkpoint = Checkpoint::open(folder / "a");
  for (const std::string& name : checkpoint.names()) {
    const std::vector<float> values = values_of(checkpoint, name);
    const Moments moments = moments_of(values);
    const bool is_norm = name.find("norm") != name.npos;
    const bool is_table = name.ends_with("embedding.weight") ||
                          name.ends_with("embed_tokens.weight") || name.ends_with("lm_head.weight");
    const size_t rank = checkpoint.find(name)->shape.size();
    const double rows = rank < 2 ? 0 : static_cast<double>(checkpoint.find(name)->shape[0]);
    const double deviation = rank < 2 || (is_table && rank == 2)
                                 ? 0.02
                                 : std::sqrt(rows / static_cast<double>(values.size()));
    const double error = 5 * deviation / std::sqrt(static_cast<double>(values.size()));
    EXPECT_NEAR(moments.mean, is_norm && name.ends_with("weight") ? 1 : 0, error) << name;
    EXPECT_NEAR(moments.deviation, deviation, error) << name;
  }
  EXPECT_NE(values_of(checkpoint, "language_model.model.layers.0.mlp.up_proj.weight"),
            values_of(checkpoint, "language_model.model.layers.1.mlp.up_proj.weight"));
}

TEST(RandomModel, AFolderThatHoldsSomethingIsLeftAlone) {
  TemporaryFolder folder;
  write_file(folder / "note.txt", "mine");
  EXPECT_THROW(write_random_model(folder.path(), {}), FileError);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
  fs::create_directory(folder / "empty");
  EXPECT_NO_THROW(write_random_model(folder / "empty" / "", {}));
  EXPECT_TRUE(fs::exists(folder / "empty/config.json"));
}

TEST(RandomModel, AFailureLeavesNothing) {
  TemporaryFolder folder;
  write_file(folder / "file", "");
  EXPECT_THROW(write_random_model(folder / "file" / "model", {}), FileError);
  EXPECT_THROW(write_random_model(folder / "model", {.preset = "huge"}), ConfigError);
  EXPECT_THROW(write_random_model(folder / "model", {.dtype = DType::I8}), ConfigError);
  const auto cancel = [](uint64_t, uint64_t) { throw std::runtime_error("cancelled"); };
  EXPECT_THROW(write_random_model(folder / "model", {}, cancel), std::runtime_error);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

/// Parameters of a preset by part, from its config.json alone.
std::vector<uint64_t> parameters_of(const std::string& preset) {
  TemporaryFolder folder;
  write_file(folder / "config.json", model_preset(preset).config.dump());
  std::vector<uint64_t> counts;
  for (const auto& part : inspect_model(folder.path()).parts) counts.push_back(part.num_parameters);
  return counts;
}

// Meta's figure for Llama-3-8B is 8,030,261,248 with 2 x 128,256 x 4,096 in table and head. CLIP
// ViT-L/14-336 has 303,507,456; its last layer (12,596,224) and last norm (2,048) are not used.
TEST(Presets, HaveTheParametersOfTheModelsTheyAreNamedAfter) {
  EXPECT_THAT(
      parameters_of("e5v-8b"),
      testing::ElementsAre(303'507'456 - 12'596'224 - 2'048, (1024 + 1) * 4096 + (4096 + 1) * 4096,
                           4096, 128'320 * 4096, 8'030'261'248 - 2ll * 128'256 * 4096));
  const std::vector<uint64_t> small = parameters_of("1b");
  EXPECT_EQ(small.at(0), parameters_of("e5v-8b").at(0));
  // TinyLlama's 1,100,048,384 less table and head of 32,000 rows.
  EXPECT_EQ(small.at(4), 1'100'048'384u - 2u * 32'000u * 2'048u);
}

TEST(Presets, KnownNamesAreListedForAnUnknownOne) {
  for (const std::string& name : preset_names()) EXPECT_EQ(model_preset(name).name, name);
  try {
    model_preset("8b");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "there is no preset '8b', expected one of tiny, 1b, e5v-8b, shapes-mini, "
                 "shapes-mini-clip, qwen3-vl-tiny, qwen3-vl-2b, qwen3-vl-8b");
  }
}

}  // namespace
}  // namespace e5v::detail
