#include "e5v/cli/default_model.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class DefaultModelTest : public ::testing::Test {
 protected:
  void make_model(const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder_ / folder);
    write_file(folder_ / folder / "config.json", "{}");
  }
  std::string error_of(const std::string& environment) {
    try {
      find_default_model(program_, environment);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no ConfigError";
  }

  TemporaryFolder folder_;
  std::filesystem::path program_ = folder_ / "tree/build/release/e5v";
};

TEST_F(DefaultModelTest, LiesInTheSourceTreeOrBesideAnInstalledProgram) {
  make_model("tree/models/shapes-mini");
  EXPECT_EQ(find_default_model(program_, ""), folder_ / "tree/models/shapes-mini");
  make_model("usr/share/e5v/models/shapes-mini");
  EXPECT_EQ(find_default_model(folder_ / "usr/bin/e5v", ""),
            folder_ / "usr/share/e5v/models/shapes-mini");
}

TEST_F(DefaultModelTest, TheEnvironmentGoesFirst) {
  make_model("tree/models/shapes-mini");
  make_model("mine");
  EXPECT_EQ(find_default_model(program_, folder_ / "mine"), folder_ / "mine");
  EXPECT_THAT(error_of(folder_ / "nothing"), HasSubstr("E5V_MODEL is '"));
}

TEST_F(DefaultModelTest, AMissingOneSaysWhereAndHowToRestoreIt) {
  EXPECT_THAT(error_of(""),
              AllOf(HasSubstr("no --model is given"), HasSubstr("tree/models/shapes-mini"),
                    HasSubstr("git checkout models/shapes-mini")));
}

}  // namespace
}  // namespace e5v::detail
