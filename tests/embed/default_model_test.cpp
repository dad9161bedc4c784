#include "e5v/embed/default_model.h"

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
      find_default_model(library_, environment);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no ConfigError";
  }

  TemporaryFolder folder_;
  std::filesystem::path library_ = folder_ / "build/release/libe5v.so";
};

TEST_F(DefaultModelTest, LiesBesideABuiltOrAnInstalledLibrary) {
  make_model("build/release/share/e5v/models/shapes-mini");
  EXPECT_EQ(find_default_model(library_, ""),
            folder_ / "build/release/share/e5v/models/shapes-mini");
  make_model("usr/share/e5v/models/shapes-mini");
  for (const char* file :
       {"usr/bin/e5v", "usr/lib/libe5v.so.0.1", "usr/lib/x86_64-linux-gnu/libe5v.so.0.1"}) {
    EXPECT_EQ(find_default_model(folder_ / file, ""), folder_ / "usr/share/e5v/models/shapes-mini");
  }
}

TEST_F(DefaultModelTest, TheEnvironmentGoesFirst) {
  make_model("build/release/share/e5v/models/shapes-mini");
  make_model("mine");
  EXPECT_EQ(find_default_model(library_, folder_ / "mine"), folder_ / "mine");
  EXPECT_THAT(error_of(folder_ / "nothing"), HasSubstr("E5V_MODEL is '"));
}

TEST_F(DefaultModelTest, AMissingOneSaysWhereAndHowToRestoreIt) {
  EXPECT_THAT(error_of(""), AllOf(HasSubstr("no --model is given"),
                                  HasSubstr("build/release/share/e5v/models/shapes-mini"),
                                  HasSubstr("git checkout models/shapes-mini")));
}

}  // namespace
}  // namespace e5v::detail
