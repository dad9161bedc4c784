#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "e5v/cli/commands.h"
#include "e5v/cli/program.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

/// Command names as users type them.
std::vector<std::string> command_names() {
  std::vector<std::string> names;
#define E5V_NAME_COMMAND(name) names.push_back(#name);
  E5V_COMMANDS(E5V_NAME_COMMAND)
#undef E5V_NAME_COMMAND
  for (std::string& name : names) std::replace(name.begin(), name.end(), '_', '-');
  return names;
}

TEST(ProgramTest, PrintsItsVersionAndHelpOnStdout) {
  const ProgramResult version = run_e5v("--version");
  EXPECT_EQ(version.status, 0);
  EXPECT_THAT(version.out, MatchesRegex("e5v [0-9]+\\.[0-9]+\\.[0-9]+\n"));
  const ProgramResult help = run_e5v("--help");
  EXPECT_EQ(help.status, 0);
  EXPECT_EQ(help.err, "");
  for (const std::string& name : command_names())
    EXPECT_THAT(help.out, HasSubstr("  " + name + " "));
}

TEST(ProgramTest, EveryCommandHasHelpWithExamplesAndTheCommonFlags) {
  for (const std::string& name : command_names()) {
    const ProgramResult help = run_e5v(name + " --help");
    EXPECT_EQ(help.status, 0) << name;
    EXPECT_THAT(help.out, HasSubstr("Examples:\n  e5v " + name)) << name;
    EXPECT_THAT(help.out, HasSubstr("--quiet")) << name;
    EXPECT_THAT(help.out, HasSubstr("--json")) << name;
  }
}

TEST(ProgramTest, HelpWrittenDownByTheBuildIsWhatTheCommandsSay) {
  for (const HelpPage& page : help_pages()) {
    const ProgramResult help = run_e5v(page.command.substr(std::string("e5v").size()) + " --help");
    EXPECT_EQ(help.out, page.text) << page.command;
  }
}

TEST(ProgramTest, VersionAndHelpNeedNoLibrary) {
  const TemporaryFolder folder;
  std::filesystem::copy_file(E5V_PROGRAM, folder / "e5v");
  const auto run = [&](const std::string& arguments) {
    return run_e5v("--version >/dev/null; '" + (folder / "e5v").native() + "' " + arguments);
  };
  EXPECT_EQ(run("--version").status, 0);
  EXPECT_THAT(run("eval run flickr30k --help").out, HasSubstr("--data"));
  const ProgramResult embed = run("embed");
  EXPECT_EQ(embed.status, 1);
  EXPECT_THAT(embed.err, MatchesRegex("e5v: libe5v.so.0.[0-9]+: .*\n"));
}

TEST(ProgramTest, AMistakeInUsageIsOneLineWithTheNearestName) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "e5v: no command was given (see: e5v --help)\n"},
      {"pul", "e5v: unknown command 'pul'; did you mean 'pull'? (see: e5v --help)\n"},
      {"xyzzy", "e5v: unknown command 'xyzzy' (see: e5v --help)\n"},
      {"--verison", "e5v: unknown option '--verison' (see: e5v --help)\n"},
      {"pull a/b --revison=x",
       "e5v: unknown option '--revison'; did you mean '--revision'? (see: e5v pull --help)\n"},
      {"pull", "e5v: repository is required (see: e5v pull --help)\n"},
      {"pull not-a-repository", "e5v: 'not-a-repository' is no repository, expected OWNER/NAME\n"},
  };
  for (const auto& [arguments, message] : cases) {
    const ProgramResult result = run_e5v(arguments);
    EXPECT_EQ(result.status, 2) << arguments;
    EXPECT_EQ(result.out, "") << arguments;
    EXPECT_EQ(result.err, message);
  }
}

TEST(ProgramTest, AFullDiskUnderStdoutIsAFailure) {
  const ProgramResult result = run_e5v("--help >/dev/full");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.err, "e5v: standard output: cannot write: No space left on device\n");
}

TEST(ProgramTest, EndsQuietlyWhenNobodyReadsOn) {
  // A pipe without a reader, also where the parent ignores the signal.
  const ProgramResult result = run_e5v("--version; trap '' PIPE; (sleep 0.3; e5v --help) | true");
  EXPECT_EQ(result.status, 128 + 13);
  EXPECT_EQ(result.err, "");
}

}  // namespace
}  // namespace e5v::detail
