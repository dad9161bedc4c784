// random-model and inspect: what is made is what is seen.

#include <gmock/gmock.h>

#include <filesystem>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

TEST(RandomModelCommandTest, WritesAFolderThatInspectFindsComplete) {
  const TemporaryFolder folder;
  const std::string model = (folder / "tiny").native();
  const ProgramResult made = run_e5v("random-model --output " + model);
  EXPECT_EQ(made.status, 0);
  EXPECT_EQ(made.out, model + "\n");
  EXPECT_EQ(made.err, "");

  const ProgramResult seen = run_e5v("inspect " + model);
  EXPECT_EQ(seen.status, 0);
  EXPECT_EQ(seen.err, "");
  for (const char* const line :
       {"architecture  LLaVA-NeXT\n", "text          llama, 2 layers of width 64, ",
        "vision        CLIP ViT, 2 of 3 layers of width 32, ", "grids         112x56, 56x112, ",
        "memory        fp32 ", "file          model.safetensors  ", "tensors       "}) {
    EXPECT_THAT(seen.out, HasSubstr(line));
  }

  const Json json = parse_json(run_e5v("inspect --json " + model).out, "stdout");
  EXPECT_EQ(json["architecture"], "llava_next");
  EXPECT_EQ(json["missing"], Json::array());
  EXPECT_EQ(json["missing_files"], Json::array());
  EXPECT_EQ(json["stored"].size(), 1u);
  EXPECT_GT(json["parameters"], 100'000);
}

TEST(RandomModelCommandTest, OptionsAreChecked) {
  const TemporaryFolder folder;
  EXPECT_EQ(run_e5v("random-model").status, 2);
  EXPECT_EQ(run_e5v("random-model --dtype int8 --output " + (folder / "m").native()).status, 2);
  const ProgramResult unknown =
      run_e5v("random-model --preset 8b --output " + (folder / "m").native());
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err, HasSubstr("expected one of tiny, 1b, e5v-8b"));
  const ProgramResult full = run_e5v("random-model --output /");
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, HasSubstr("expected a new or empty folder"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(InspectCommandTest, FailsWhereLoadingWouldButStillSaysWhatIsThere) {
  const TemporaryFolder folder;
  const std::string model = (folder / "tiny").native();
  ASSERT_EQ(run_e5v("random-model --output " + model).status, 0);
  fs::resize_file(folder / "tiny/model.safetensors", 5000);
  const ProgramResult broken = run_e5v("inspect " + model);
  EXPECT_EQ(broken.status, 1);
  EXPECT_THAT(broken.out, HasSubstr("architecture  LLaVA-NeXT"));
  EXPECT_THAT(broken.err, MatchesRegex("e5v: .*incomplete download\\?\n"));

  fs::remove(folder / "tiny/model.safetensors");
  fs::remove(folder / "tiny/tokenizer.json");
  const ProgramResult bare = run_e5v("inspect " + model);
  EXPECT_EQ(bare.status, 0);
  EXPECT_THAT(bare.out, HasSubstr("no weights    only the configuration is there"));
  EXPECT_THAT(bare.out, HasSubstr("no file       tokenizer.json"));

  const ProgramResult none = run_e5v("inspect " + (folder / "none").native());
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("config.json: cannot open"));
}

TEST(QuantizeCommandTest, WritesAFolderThatEmbedsAsRoundingOnLoadDoes) {
  const TemporaryFolder folder;
  const std::string model = (folder / "tiny").native();
  ASSERT_EQ(run_e5v("random-model --output " + model).status, 0);
  for (const std::string precision : {"int8", "int4", "nf4"}) {
    const std::string quantized = (folder / precision).native();
    const ProgramResult made = run_e5v("quantize --model " + model + " --precision " + precision +
                                       " --output " + quantized);
    EXPECT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(made.out, quantized + "\n");
    EXPECT_THAT(run_e5v("inspect " + quantized).out, HasSubstr("quantised     to " + precision));
    const auto similarity = [](const std::string& options) {
      return run_e5v("similarity --json \"a dog\" \"two cats\" --model " + options).out;
    };
    EXPECT_EQ(similarity(quantized), similarity(model + " --precision " + precision));
    const ProgramResult taken = run_e5v("quantize --model " + model + " --output " + quantized);
    EXPECT_EQ(taken.status, 1);
    EXPECT_THAT(taken.err, HasSubstr("expected a new or empty folder"));
  }
  EXPECT_EQ(run_e5v("quantize --model " + model + " --precision bf16 --output x").status, 2);
}

TEST(QuantizeCommandTest, CalibratesWithTextsAndPictures) {
  const TemporaryFolder folder;
  const std::string source = E5V_SOURCE_DIR "/tests/goldens/end_to_end_tiny";
  const auto quantize = [&](const std::string& items, const std::string& options) {
    write_file(folder / "items.jsonl", items);
    return run_e5v("quantize --model " + source + " --calibration " +
                   (folder / "items.jsonl").native() + " " + options);
  };
  const std::string items = "{\"text\":\"a red dog\"}\n{\"image\":\"" + source +
                            "/images/gray_40x60.png\"}\n{\"text\":\"two\"}\n";
  const std::string output = " --output " + (folder / "int4").native();
  const ProgramResult made = quantize(items, "--precision int4" + output);
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_THAT(made.err, HasSubstr("calibration: 3 items, "));
  const ProgramResult similar = run_e5v("similarity dog cat --model " + (folder / "int4").native());
  EXPECT_EQ(similar.status, 0) << similar.err;

  // What cannot be: nothing is written then.
  fs::remove_all(folder / "int4");
  EXPECT_THAT(quantize(items, "--precision int8" + output).err, HasSubstr("expected int4"));
  EXPECT_THAT(quantize("{\"text\":1}\n", "--precision int4" + output).err,
              HasSubstr("items.jsonl: item 1: "));
  EXPECT_THAT(quantize(items, "--precision int4 --calibration-tokens 3" + output).err,
              HasSubstr("has no item of at most 3 tokens"));
  EXPECT_FALSE(fs::exists(folder / "int4"));
}

}  // namespace
}  // namespace e5v::detail
