#include "e5v/cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "tests/support/message_of.h"

namespace e5v::detail {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

enum class Colour { kRed, kGreen };

/// One field of each kind.
struct PaintOptions {
  bool glossy = false;
  bool dry = true;
  int64_t layers = 2;
  double width = 0.5;
  std::string name = "wall";
  std::filesystem::path output;
  std::vector<std::string> rooms;
  Colour colour = Colour::kGreen;

  void register_options(OptionRegistry& registry) {
    registry.add("glossy", glossy, "Shines");
    registry.add("dry", dry, "Waits");
    registry.add("layers", layers, "How many");
    registry.add("width", width, "Of the brush, in metres");
    registry.add("name", name, "What is painted");
    registry.add("output", output, "Where to");
    registry.add("room", rooms, "Which rooms");
    registry.add("colour", colour, {{"red", Colour::kRed}, {"green", Colour::kGreen}}, "Which");
  }
};

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() {
    Command command(app_);
    options_.register_options(command);
    app_.add_option("rest", rest_);
  }
  void parse(const std::string& line) { app_.parse(line); }

  CLI::App app_;
  PaintOptions options_;
  std::vector<std::string> rest_;
};

TEST_F(CommandTest, WithoutFlagsTheDefaultsStay) {
  parse("");
  EXPECT_FALSE(options_.glossy);
  EXPECT_TRUE(options_.dry);
  EXPECT_EQ(options_.layers, 2);
  EXPECT_EQ(options_.colour, Colour::kGreen);
}

TEST_F(CommandTest, EveryKindOfFieldHasItsFlag) {
  parse(
      "--glossy --no-dry --layers 3 --width 1.5 --name=door --output a/b --room x --room y "
      "--colour red z");
  EXPECT_TRUE(options_.glossy);
  EXPECT_FALSE(options_.dry);
  EXPECT_EQ(options_.layers, 3);
  EXPECT_EQ(options_.width, 1.5);
  EXPECT_EQ(options_.name, "door");
  EXPECT_EQ(options_.output, "a/b");
  EXPECT_THAT(options_.rooms, ElementsAre("x", "y"));
  EXPECT_EQ(options_.colour, Colour::kRed);
  EXPECT_THAT(rest_, ElementsAre("z"));
}

TEST_F(CommandTest, AListTakesOneValueAFlag) {
  parse("--room x y");
  EXPECT_THAT(options_.rooms, ElementsAre("x"));
  EXPECT_THAT(rest_, ElementsAre("y"));
}

TEST_F(CommandTest, TheHelpShowsDefaultsAndChoices) {
  const std::string help = app_.help();
  EXPECT_THAT(help, ContainsRegex("--layers INT(=2| .2.)"));  // CLI11 2.1 writes =2, later [2]
  EXPECT_THAT(help, HasSubstr("red, green [green]"));
}

TEST_F(CommandTest, RefusesValuesOfAnotherKind) {
  for (const char* line :
       {"--layers x", "--layers 1.5", "--width wide", "--colour blue", "--layers"}) {
    EXPECT_THROW(parse(line), CLI::ParseError) << line;
  }
}

TEST(CommandLineTest, ArgumentsAndFlagsCanBeRequiredAndChosen) {
  CLI::App app;
  Command command(app);
  std::string action;
  std::filesystem::path folder;
  std::optional<int64_t> count;
  bool shown = true;
  command.add_argument("action", action, {"show", "hide"}, "What is done");
  command.require_argument("action");
  command.add_required("folder", folder, "Where");
  command.add("count", count, "How many");
  command.add("shown", shown, "Of it");
  const auto message_of_parsing = [&](const std::string& line) {
    return message_of<CLI::ParseError>([&] { app.parse(line); });
  };
  EXPECT_THAT(message_of_parsing("sing --folder a"), HasSubstr("'sing' is none of show, hide"));
  EXPECT_THAT(message_of_parsing("--folder a"), HasSubstr("action is required"));
  EXPECT_THAT(message_of_parsing("show"), HasSubstr("--folder is required"));
  EXPECT_EQ(message_of_parsing("hide --folder a --no-shown"), "nothing was thrown");
  EXPECT_EQ(action, "hide");
  EXPECT_EQ(folder, "a");
  EXPECT_EQ(count, std::nullopt);
  EXPECT_TRUE(command.was_given("folder"));
  EXPECT_TRUE(command.was_given("shown"));
  EXPECT_FALSE(command.was_given("count"));
}

}  // namespace
}  // namespace e5v::detail
