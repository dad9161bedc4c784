#include "e5v/embed/embedding_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class EmbeddingFileTest : public testing::Test {
 protected:
  EmbeddingFileOptions options(const char* name, bool resume = false) const {
    return {.path = folder_ / name,
            .dimensions = 2,
            .fingerprint = {{"model", "m"}, {"task", "retrieval"}},
            .resume = resume};
  }
  static std::vector<float> row(float value) { return {value, -value}; }

  const TemporaryFolder folder_;
};

TEST_F(EmbeddingFileTest, TheArrayAndItsIdsAppearOnCommit) {
  EmbeddingFile file(options("v.npy"));
  file.add("a", row(1));
  file.skip("bad", "no such file");
  file.add("b c", row(2));
  EXPECT_FALSE(fs::exists(folder_ / "v.npy"));
  file.commit();
  const NpyArray array(folder_ / "v.npy");
  EXPECT_EQ(array.shape(), (std::vector<int64_t>{2, 2}));
  const auto* values = reinterpret_cast<const float*>(array.bytes().data());
  EXPECT_EQ(std::vector<float>(values, values + 4), (std::vector<float>{1, -1, 2, -2}));
  EXPECT_EQ(read_file(folder_ / "v.ids.txt"), "a\nb c\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 2);
}

TEST_F(EmbeddingFileTest, JsonLinesHoldIdAndNumbers) {
  EmbeddingFile file(options("v.jsonl"));
  file.add("a\"", row(0.1F));
  file.commit();
  EXPECT_EQ(read_file(folder_ / "v.jsonl"), "{\"id\":\"a\\\"\",\"embedding\":[0.1,-0.1]}\n");
  const std::vector<float> vector = {0.5F, -0.25F};
  EXPECT_EQ(EmbeddingFile::json_line("x", vector, Encoding::kInt8),
            R"({"id":"x","embedding":[127,-64]})");
  EXPECT_EQ(EmbeddingFile::json_line("x", vector, Encoding::kBinary),
            R"({"id":"x","embedding":[128]})");
  EXPECT_EQ(EmbeddingFile::json_line("x", vector, Encoding::kFloat16),
            R"({"id":"x","embedding":[0.5,-0.25]})");
}

TEST_F(EmbeddingFileTest, ARunThatBrokeOffGoesOnWhereItWas) {
  for (const char* name : {"v.npy", "v.jsonl"}) {
    {
      EmbeddingFile file(options(name));
      file.add("a", row(1));
      file.skip("bad", "x");
      file.add("b", row(2));
    }  // never committed
    // The last item was being written when the run was killed.
    std::ofstream(folder_ / (std::string(name) + ".partial"), std::ios::app) << "xyz";
    std::ofstream(folder_ / (std::string(name) + ".partial.log"), std::ios::app) << "{\"id\":\"c\"";
    EmbeddingFile file(options(name, true));
    EXPECT_THAT(file.done_ids(), testing::ElementsAre("a", "bad", "b"));
    EXPECT_EQ(file.num_skipped(), 1);
    file.add("c", row(3));
    file.commit();
  }
  EXPECT_EQ(NpyArray(folder_ / "v.npy").shape()[0], 3);
  EXPECT_EQ(read_file(folder_ / "v.ids.txt"), "a\nb\nc\n");
  EXPECT_EQ(read_file(folder_ / "v.jsonl"),
            "{\"id\":\"a\",\"embedding\":[1,-1]}\n{\"id\":\"b\",\"embedding\":[2,-2]}\n"
            "{\"id\":\"c\",\"embedding\":[3,-3]}\n");
}

TEST_F(EmbeddingFileTest, WhatTheJournalPromisesButTheDataLacksIsDoneAgain) {
  {
    EmbeddingFile file(options("v.npy"));
    file.add("a", row(1));
    file.add("b", row(2));
  }
  fs::resize_file(folder_ / "v.npy.partial", 12);
  EmbeddingFile file(options("v.npy", true));
  EXPECT_THAT(file.done_ids(), testing::ElementsAre("a"));
}

TEST_F(EmbeddingFileTest, ResumingWithOtherOptionsNamesTheField) {
  {
    EmbeddingFile file(options("v.npy"));
    file.add("a", row(1));
  }
  EmbeddingFileOptions other = options("v.npy", true);
  other.fingerprint["task"] = "cirr";
  try {
    EmbeddingFile file(other);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'task' was \"retrieval\", now \"cirr\""));
  }
  EXPECT_TRUE(fs::exists(folder_ / "v.npy.partial"));
}

TEST_F(EmbeddingFileTest, WithoutResumeAnOldPartialResultIsReplaced) {
  {
    EmbeddingFile file(options("v.npy"));
    file.add("a", row(1));
  }
  EmbeddingFile file(options("v.npy"));
  EXPECT_TRUE(file.done_ids().empty());
}

TEST_F(EmbeddingFileTest, NothingIsLeftOfARunThatDidNothing) {
  { EmbeddingFile file(options("v.npy")); }
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

TEST_F(EmbeddingFileTest, UnwritablePlacesAndOtherExtensionsAreRefused) {
  EXPECT_THROW(EmbeddingFile(options("absent/v.npy")), FileError);
  EXPECT_THROW(EmbeddingFile(options("v.csv")), ConfigError);
}

}  // namespace
}  // namespace e5v::detail
