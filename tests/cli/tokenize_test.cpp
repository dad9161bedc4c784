// e5v tokenize, with a tiny tokenizer of Llama-3's kind.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TokenizeCommandGoldenTest : public ::testing::Test {
 protected:
  TokenizeCommandGoldenTest() {
    const std::filesystem::path goldens = std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens";
    std::filesystem::copy_file(goldens / "tokenizer_kinds/llama3.tokenizer.json",
                               folder / "tokenizer.json");
    std::filesystem::copy_file(goldens / "model_llama/config.json", folder / "config.json");
  }

  ProgramResult run(const std::string& options, const std::string& lines) {
    write_file(folder / "lines", lines);
    return run_e5v("tokenize --model " + folder.path().native() + " " + options + " < " +
                   (folder / "lines").native());
  }

  static std::vector<Json> documents(const std::string& out) {
    std::vector<Json> result;
    std::istringstream lines(out);
    for (std::string line; std::getline(lines, line);) {
      result.push_back(parse_json(line, "stdout"));
    }
    return result;
  }

  TemporaryFolder folder;
};

TEST_F(TokenizeCommandGoldenTest, PrintsOneDocumentALine) {
  const ProgramResult result = run("", "an image\n\nthe tower\r\nlast");
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.err, "");
  const auto documents = this->documents(result.out);
  ASSERT_EQ(documents.size(), 4u);
  EXPECT_EQ(documents[0]["text"], "an image");
  EXPECT_EQ(documents[0]["ids"].size(), documents[0]["tokens"].size());
  EXPECT_EQ(documents[0]["tokens"][0], "<|begin_of_text|>");
  EXPECT_EQ(documents[0]["tokens"].back(), "Ġimage");
  EXPECT_THAT(documents[1]["tokens"], ElementsAre("<|begin_of_text|>"));
  EXPECT_EQ(documents[2]["text"], "the tower");
  EXPECT_EQ(documents[3]["text"], "last");
}

TEST_F(TokenizeCommandGoldenTest, ControlTokensAreTextUnlessAllowed) {
  EXPECT_GT(documents(run("", "<|eot_id|>\n").out).at(0)["tokens"].size(), 2u);
  EXPECT_THAT(documents(run("--allow-special", "<|eot_id|>\n").out).at(0)["tokens"],
              ElementsAre("<|begin_of_text|>", "<|eot_id|>"));
}

TEST_F(TokenizeCommandGoldenTest, TheTemplateIsThatOfTheModel) {
  const ProgramResult result = run("--template", "a <|eot_id|>\n");
  EXPECT_EQ(result.status, 0) << result.err;
  const Json tokens = documents(result.out).at(0)["tokens"];
  EXPECT_EQ(tokens[1], "<|start_header_id|>");
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), "<|eot_id|>"), 1);
}

TEST_F(TokenizeCommandGoldenTest, NamesTheLineThatIsNoUtf8) {
  const ProgramResult result = run("--template",
                                   "good\nb\xff"
                                   "d\n");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(documents(result.out).size(), 1u);
  EXPECT_THAT(result.err, HasSubstr("line 2: text is not valid UTF-8 at byte 1"));
}

TEST_F(TokenizeCommandGoldenTest, SaysWhatIsMissing) {
  EXPECT_EQ(run_e5v("tokenize --model").status, 2);
  const ProgramResult result = run_e5v("tokenize --model " + (folder / "nowhere").native());
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("tokenizer.json"));
  EXPECT_EQ(run("--template --task nonsense", "a\n").status, 2);
}

}  // namespace
}  // namespace e5v::detail
