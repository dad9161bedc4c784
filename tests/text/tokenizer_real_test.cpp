// The tokenizers of published models: llama.cpp's vectors, and how fast the largest one loads. The
// files are bound by their licences and not part of this project.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/text/tokenizer.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

const std::filesystem::path kData = E5V_SHARED_DATA;

#define SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "needs " << (path)

struct Vectors {
  std::vector<std::string> texts;
  std::vector<std::vector<int64_t>> ids;
};

Vectors read_vectors(const std::string& name) {
  const std::filesystem::path folder = kData / "tokenizers/llama_cpp_vectors";
  const std::string separator = "\n__ggml_vocab_test__\n";
  Vectors vectors;
  const std::string inputs = read_file(folder / ("ggml-vocab-" + name + ".gguf.inp"));
  for (size_t at = 0; at <= inputs.size();) {
    const size_t end = std::min(inputs.find(separator, at), inputs.size());
    vectors.texts.push_back(inputs.substr(at, end - at));
    at = end + separator.size();
  }
  // One line each, empty for the text that is empty.
  const std::string outputs = read_file(folder / ("ggml-vocab-" + name + ".gguf.out"));
  for (size_t at = 0; at <= outputs.size();) {
    const size_t end = std::min(outputs.find('\n', at), outputs.size());
    std::istringstream numbers(outputs.substr(at, end - at));
    std::vector<int64_t>& ids = vectors.ids.emplace_back();
    for (int64_t id; numbers >> id;) ids.push_back(id);
    at = end + 1;
  }
  return vectors;
}

void expect_vectors(const Tokenizer& tokenizer, const std::string& name) {
  const Vectors vectors = read_vectors(name);
  ASSERT_EQ(vectors.texts.size(), 47u);
  ASSERT_EQ(vectors.ids.size(), 47u);
  for (size_t i = 0; i < vectors.texts.size(); ++i) {
    EXPECT_EQ(
        tokenizer.encode(vectors.texts[i], {.add_special_tokens = false, .allow_special = true}),
        vectors.ids[i])
        << Json(vectors.texts[i]);
  }
}

TEST(TokenizerRealTest, Llama3PassesAllVectors) {
  const auto folder = kData / "tokenizers/llama3_hf";
  SKIP_WITHOUT(folder);
  expect_vectors(Tokenizer::load(folder), "llama-bpe");
}

TEST(TokenizerRealTest, Llama2PassesAllVectors) {
  const auto folder = kData / "configs/llava-1.5-7b-hf";
  SKIP_WITHOUT(folder);
  expect_vectors(Tokenizer::load(folder), "llama-spm");
}

TEST(TokenizerRealTest, Phi3PassesAllVectors) {
  for (const char* name : {"phi-3-mini", "phi-3-vision"}) {
    const auto folder = kData / "tokenizers/phi3" / name;
    SKIP_WITHOUT(folder);
    expect_vectors(Tokenizer::load(folder), "phi-3");
  }
}

/// The published tokenizer.json put together from the vocab.json and merges.txt that are at hand.
Json qwen2_json(const std::filesystem::path& folder) {
  Json merges = Json::array();
  std::istringstream lines(read_file(folder / "merges.txt"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && !line.starts_with("#version")) merges.push_back(line);
  }
  const char* pattern =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return {
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer",
       {{"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"},
           {"pattern", {{"Regex", pattern}}},
           {"behavior", "Isolated"},
           {"invert", false}},
          {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", read_json(folder / "vocab.json")}, {"merges", merges}}},
  };
}

TEST(TokenizerRealTest, Qwen2PassesAllVectors) {
  const auto folder = kData / "tokenizers/qwen";
  SKIP_WITHOUT(folder);
  expect_vectors(Tokenizer::from_json(qwen2_json(folder).dump(), "qwen2"), "qwen2");
}

TEST(TokenizerRealTest, ClipLowersCaseAndMarksWordEnds) {
  const auto folder = kData / "tokenizers/clip_hf";
  SKIP_WITHOUT(folder);
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const std::vector<int64_t> expected = {49406, 320, 1125, 539, 320, 2368, 49407};
  EXPECT_EQ(tokenizer.encode("A photo of  a CAT"), expected);
  EXPECT_EQ(tokenizer.id_to_token(2368), "cat</w>");
}

TEST(TokenizerRealTest, ClipGivesTheIdsOfItsPublishedTokenizer) {
  const auto folder = kData / "tokenizers/clip_hf";
  SKIP_WITHOUT(folder);
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const Json golden = read_json(E5V_SOURCE_DIR "/tests/goldens/clip_tokens/golden.json");
  ASSERT_GE(golden["items"].size(), 300u);
  for (const Json& item : golden["items"]) {
    EXPECT_EQ(tokenizer.encode(item["text"].get<std::string>(),
                               {.add_special_tokens = true, .allow_special = true}),
              item["ids"].get<std::vector<int64_t>>())
        << item["text"];
  }
}

TEST(TokenizerRealTest, ThePromptOfE5vHasTheIdsOfItsControlTokens) {
  const auto folder = kData / "tokenizers/llama3_hf";
  SKIP_WITHOUT(folder);
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const auto ids = tokenizer.encode(
      "<|start_header_id|>user<|end_header_id|>\n\n<image>\nSummary above image in one word: "
      "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n",
      {.add_special_tokens = true, .allow_special = true});
  const std::vector<int64_t> begin = {128000, 128006, 882, 128007, 271, 128256, 198};
  ASSERT_GT(ids.size(), begin.size());
  EXPECT_EQ(std::vector<int64_t>(ids.begin(), ids.begin() + begin.size()), begin);
  const std::vector<int64_t> end = {220, 128009, 128006, 78191, 128007, 271, 720};
  EXPECT_EQ(std::vector<int64_t>(ids.end() - end.size(), ids.end()), end)
      << testing::PrintToString(ids);
}

TEST(TokenizerRealTest, LongTextsTakeNoQuadraticTime) {
  const auto folder = kData / "tokenizers/llama3_hf";
  SKIP_WITHOUT(folder);
  for (const Tokenizer& tokenizer :
       {Tokenizer::load(folder), Tokenizer::load(kData / "configs/llava-1.5-7b-hf"),
        Tokenizer::load(kData / "tokenizers/clip_hf")}) {
    for (const std::string unit :
         {"a", " ", "\n", " \n", "<|", "\u4e2d", "\U0001f600", "a\u0301"}) {
      std::string text;
      while (text.size() < (1 << 20)) text += unit;
      const auto start = std::chrono::steady_clock::now();
      EXPECT_FALSE(tokenizer.encode(text).empty());
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30)) << Json(unit);
    }
  }
}

}  // namespace
}  // namespace e5v::detail
