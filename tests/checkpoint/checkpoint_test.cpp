#include "e5v/checkpoint/checkpoint.h"

#include <gmock/gmock.h>

#include <fstream>
#include <string>

#include "e5v/base/error.h"
#include "e5v/base/json.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string as_string(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A folder with the tensors "a" to "d" of 4 bytes each ("aaaa", ...), "empty" among them.
void write_checkpoint(const fs::path& folder, uint64_t max_shard_bytes) {
  CheckpointWriter writer(folder,
                          {{"a", DType::U8, {4}},
                           {"b", DType::U8, {2, 2}},
                           {"empty", DType::F32, {0}},
                           {"c", DType::F32, {}},
                           {"d", DType::BF16, {2}}},
                          max_shard_bytes);
  for (const std::string name : {"a", "b", "c", "d"}) {
    writer.write(name, as_bytes(std::string(4, name[0])));
  }
  writer.commit();
}

template <class E>
std::string error_of(const fs::path& path) {
  try {
    Checkpoint::open(path);
  } catch (const E& error) {
    return error.what();
  }
  return "no such error";
}

void expect_whole(const Checkpoint& checkpoint) {
  EXPECT_THAT(checkpoint.names(), ElementsAre("a", "b", "c", "d", "empty"));
  for (const std::string name : {"a", "b", "c", "d"}) {
    EXPECT_EQ(as_string(checkpoint.find(name)->bytes), std::string(4, name[0]));
    checkpoint.release(name);
  }
  EXPECT_THAT(checkpoint.find("b")->shape, ElementsAre(2, 2));
  EXPECT_EQ(checkpoint.find("d")->dtype, DType::BF16);
  EXPECT_EQ(checkpoint.find("nothing"), std::nullopt);
  EXPECT_THROW(checkpoint.release("nothing"), InputError);
  EXPECT_THROW(checkpoint.file_of("nothing"), InputError);
}

TEST(Checkpoint, OneFileIsWrittenAndReadWhereTheTensorsFit) {
  TemporaryFolder folder;
  write_checkpoint(folder / "new" / "model", 16);
  EXPECT_TRUE(Checkpoint::exists(folder / "new/model"));
  const Checkpoint checkpoint = Checkpoint::open(folder / "new/model");
  expect_whole(checkpoint);
  EXPECT_THAT(checkpoint.files(), ElementsAre(folder / "new/model/model.safetensors"));
  EXPECT_EQ(checkpoint.file_of("a"), folder / "new/model/model.safetensors");
  expect_whole(Checkpoint::open(folder / "new/model/model.safetensors"));
  EXPECT_TRUE(Checkpoint::exists(folder / "new/model/model.safetensors"));
  EXPECT_FALSE(fs::exists(folder / "new/model/model.safetensors.index.json"));
}

TEST(Checkpoint, ShardsAreWrittenAndReadWithTheirIndex) {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), 8);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  expect_whole(checkpoint);
  EXPECT_THAT(checkpoint.files(), ElementsAre(folder / "model-00001-of-00002.safetensors",
                                              folder / "model-00002-of-00002.safetensors"));
  EXPECT_EQ(checkpoint.file_of("c"), folder / "model-00002-of-00002.safetensors");
  const Json index = read_json(folder / "model.safetensors.index.json");
  EXPECT_EQ(index["metadata"]["total_size"], 16);
  EXPECT_EQ(index["weight_map"]["empty"], "model-00001-of-00002.safetensors");
  EXPECT_EQ(SafetensorsFile(checkpoint.files()[0]).metadata().at("format"), "pt");
}

TEST(Checkpoint, ATensorLargerThanAShardGetsItsOwn) {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), 1);
  EXPECT_EQ(Checkpoint::open(folder.path()).files().size(), 5u);
  expect_whole(Checkpoint::open(folder.path()));
}

TEST(Checkpoint, NoFileAppearsBeforeAllAreComplete) {
  TemporaryFolder folder;
  const auto names = [&] {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      if (entry.path().native().find(".tmp") == std::string::npos) found.push_back(entry.path());
    }
    return found;
  };
  {
    CheckpointWriter writer(folder.path(), {{"a", DType::U8, {4}}, {"b", DType::U8, {4}}}, 4);
    EXPECT_THROW(writer.commit(), InputError);
    writer.write("a", as_bytes("aaaa"));
    EXPECT_THROW(writer.write("a", as_bytes("a")), InputError);
    EXPECT_THROW(writer.commit(), InputError);
    writer.write("b", as_bytes("bb"));
    EXPECT_THROW(writer.commit(), InputError);
    EXPECT_TRUE(names().empty());
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
  EXPECT_FALSE(Checkpoint::exists(folder.path()));
}

TEST(Checkpoint, AFolderThatHoldsWeightsIsNotOverwritten) {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), 8);
  EXPECT_THROW(write_checkpoint(folder.path(), 100), FileError);
  expect_whole(Checkpoint::open(folder.path()));
}

TEST(Checkpoint, RepeatedNamesAreRefusedEvenInDifferentShards) {
  TemporaryFolder folder;
  EXPECT_THROW(CheckpointWriter(folder / "x", {{"a", DType::U8, {4}}, {"a", DType::U8, {4}}}, 4),
               InputError);
}

TEST(Checkpoint, AllMissingShardsAreNamedAtOnce) {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), 4);
  fs::remove(folder / "model-00001-of-00004.safetensors");
  fs::remove(folder / "model-00003-of-00004.safetensors");
  EXPECT_THAT(error_of<FileError>(folder.path()),
              AllOf(HasSubstr("2 of 4 are missing: model-00001-of-00004.safetensors, "
                              "model-00003-of-00004.safetensors"),
                    HasSubstr("incomplete download?")));
}

TEST(Checkpoint, AllTensorsThatTheirShardLacksAreNamedAtOnce) {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), 8);
  Json index = read_json(folder / "model.safetensors.index.json");
  index["weight_map"]["x"] = "model-00001-of-00002.safetensors";
  index["weight_map"]["c"] = "model-00001-of-00002.safetensors";
  write_file(folder / "model.safetensors.index.json", index.dump());
  EXPECT_THAT(error_of<FormatError>(folder.path()),
              AllOf(HasSubstr("2 tensors are not in the shards"),
                    HasSubstr("c (model-00001-of-00002.safetensors)"),
                    HasSubstr("x (model-00001-of-00002.safetensors)")));
}

TEST(Checkpoint, TheIndexAloneSaysWhichTensorsThereAre) {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), 8);
  Json index = read_json(folder / "model.safetensors.index.json");
  index["weight_map"].erase("b");
  write_file(folder / "model.safetensors.index.json", index.dump());
  EXPECT_THAT(Checkpoint::open(folder.path()).names(), ElementsAre("a", "c", "d", "empty"));
}

TEST(Checkpoint, ABrokenShardIsNamed) {
  TemporaryFolder folder;
  write_checkpoint(folder.path(), 8);
  fs::resize_file(folder / "model-00002-of-00002.safetensors", 100);
  EXPECT_THAT(error_of<FormatError>(folder.path()),
              HasSubstr("model-00002-of-00002.safetensors: "));
}

TEST(Checkpoint, AnIndexCannotLeadOutOfItsFolder) {
  TemporaryFolder folder;
  write_checkpoint(folder / "other", 100);
  fs::create_directory(folder / "model");
  for (const std::string& file :
       {std::string("../other/model.safetensors"), std::string("/etc/passwd"), std::string(),
        std::string("."), std::string(".."), std::string("a/b"), std::string("a\0b", 3)}) {
    write_file(folder / "model/model.safetensors.index.json",
               Json{{"weight_map", {{"a", file}}}}.dump());
    EXPECT_THAT(error_of<FormatError>(folder / "model"), HasSubstr("in the same folder")) << file;
  }
}

TEST(Checkpoint, AnIndexOfAnotherFormIsRefused) {
  TemporaryFolder folder;
  for (const std::string text :
       {"", "[]", "{}", "null", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})", "{"}) {
    write_file(folder / "model.safetensors.index.json", text);
    EXPECT_THAT(error_of<FormatError>(folder.path()), HasSubstr("model.safetensors.index.json: "))
        << text;
  }
}

TEST(Checkpoint, AFolderWithoutSafetensorsSaysWhatItHas) {
  TemporaryFolder folder;
  EXPECT_FALSE(Checkpoint::exists(folder.path()));
  EXPECT_THAT(error_of<FileError>(folder.path()),
              HasSubstr("neither model.safetensors nor model.safetensors.index.json"));
  write_file(folder / "pytorch_model-00001-of-00002.bin", "x");
  EXPECT_THAT(error_of<FileError>(folder.path()), HasSubstr("save_pretrained"));
  fs::remove(folder / "pytorch_model-00001-of-00002.bin");
  write_file(folder / "model-00001-of-00002.safetensors", "x");
  EXPECT_THAT(error_of<FileError>(folder.path()), HasSubstr("no model.safetensors.index.json"));
  EXPECT_THAT(error_of<FileError>(folder / "none"), HasSubstr("No such file or directory"));
}

TEST(Checkpoint, ALinkToNowhereIsNamed) {
  TemporaryFolder folder;
  fs::create_symlink("../blobs/0123", folder / "model.safetensors");
  EXPECT_THAT(error_of<FileError>(folder.path()),
              AllOf(HasSubstr("model.safetensors"), HasSubstr("No such file")));
}

}  // namespace
}  // namespace e5v::detail
