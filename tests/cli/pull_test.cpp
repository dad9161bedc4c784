#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "tests/cli/run_program.h"
#include "tests/hub/fake_hub.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;

class PullCommandTest : public ::testing::Test {
 protected:
  PullCommandTest() {
    hub_.files = {{"config.json", "{}"}, {"model.safetensors", std::string(100'000, 'w')}};
    ::setenv("no_proxy", "127.0.0.1", 1);
    ::setenv("HF_ENDPOINT", hub_.endpoint().c_str(), 1);
    ::setenv("HF_HOME", (folder_ / "home").c_str(), 1);
  }
  ~PullCommandTest() override {
    for (const char* name : {"HF_ENDPOINT", "HF_HOME", "HF_TOKEN"}) ::unsetenv(name);
  }

  TemporaryFolder folder_;
  FakeHub hub_;
};

TEST_F(PullCommandTest, PrintsTheFolderOfTheCacheAndNothingElseOnStdout) {
  const ProgramResult result = run_e5v("pull tiny/llava");
  ASSERT_EQ(result.status, 0) << result.err;
  const std::string folder = result.out.substr(0, result.out.size() - 1);
  EXPECT_EQ(folder,
            (folder_ / "home/hub/models--tiny--llava/snapshots" / FakeHub::kCommit).native());
  EXPECT_EQ(read_file(folder + "/model.safetensors"), hub_.files["model.safetensors"]);
  EXPECT_THAT(result.err, HasSubstr("e5v: info: tiny/llava at commit 0123456789ab: 2 files"));
  EXPECT_EQ(run_e5v("pull tiny/llava --quiet").err, "");
}

TEST_F(PullCommandTest, JsonSaysWhatWasDone) {
  const std::string output = (folder_ / "model").native();
  const ProgramResult result =
      run_e5v("pull --include '*.json' tiny/llava --json --output " + output);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out), Json({{"folder", output},
                                           {"commit", FakeHub::kCommit},
                                           {"files", {"config.json"}},
                                           {"downloaded", 1},
                                           {"downloaded_bytes", 2}}));
}

TEST_F(PullCommandTest, TheTokenComesFromTheEnvironment) {
  hub_.required_token = "hf_secret";
  const ProgramResult denied = run_e5v("pull tiny/llava");
  EXPECT_EQ(denied.status, 1);
  EXPECT_THAT(denied.err, HasSubstr("set HF_TOKEN"));
  ::setenv("HF_TOKEN", "hf_secret", 1);
  EXPECT_EQ(run_e5v("pull tiny/llava").status, 0);
}

TEST_F(PullCommandTest, AWrongHashIsAFailureInOneLine) {
  hub_.corrupts = true;
  const ProgramResult result = run_e5v("pull tiny/llava --quiet");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("SHA-256"));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
}

}  // namespace
}  // namespace e5v::detail
