#include "e5v/cli/shared_options.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

namespace e5v::detail {
namespace {

enum class Colour { kRed, kBlue };

struct Options {
  std::string split;
  int64_t count = 5;
  bool cached = true;
  bool loud = false;
  Colour colour = Colour::kRed;

  void register_options(OptionRegistry& registry) {
    registry.add("split", split, "");
    registry.add("count", count, "");
    registry.add("cached", cached, "");
    registry.add("loud", loud, "");
    registry.add("colour", colour, {{"red", Colour::kRed}, {"blue", Colour::kBlue}}, "");
  }
};

/// Two structs with other defaults behind one command's flags.
class SharedOptionsTest : public testing::Test {
 protected:
  SharedOptionsTest() {
    first_.split = "test";
    second_.split = "val";
    second_.count = 7;
    first_.register_options(registry_);
    second_.register_options(registry_);
  }
  void parse(const std::string& arguments) {
    command_.parse(arguments, /*program_name_included=*/false);
    registry_.copy_given();
  }

  CLI::App command_;
  SharedOptions registry_{Command(command_)};
  Options first_, second_;
};

TEST_F(SharedOptionsTest, WhatIsGivenIsGivenToAll) {
  parse("--split train --count 3 --no-cached --loud --colour blue");
  for (const Options* options : {&first_, &second_}) {
    EXPECT_EQ(options->split, "train");
    EXPECT_EQ(options->count, 3);
    EXPECT_FALSE(options->cached);
    EXPECT_TRUE(options->loud);
    EXPECT_EQ(options->colour, Colour::kBlue);
  }
}

TEST_F(SharedOptionsTest, WhatIsNotGivenLeavesEachItsDefault) {
  parse("--loud");
  EXPECT_EQ(first_.split, "test");
  EXPECT_EQ(second_.split, "val");
  EXPECT_EQ(first_.count, 5);
  EXPECT_EQ(second_.count, 7);
  EXPECT_TRUE(second_.cached);
  EXPECT_TRUE(second_.loud);
}

}  // namespace
}  // namespace e5v::detail
