#include "e5v/base/progress.h"

#include <gtest/gtest.h>

#include <vector>

namespace e5v::detail {
namespace {

/// A Progress whose clock the test moves and whose output it keeps.
class ProgressTest : public ::testing::Test {
 protected:
  Progress::Surroundings surroundings(bool redraw) {
    return {redraw, [this](std::string_view text) { output_ += text; }, [this] { return now_s_; }};
  }
  double now_s_ = 100;
  std::string output_;
};

TEST(ProgressLineTest, ShowsCountShareRateAndTimeLeft) {
  EXPECT_EQ(progress_line("embed", 412, 5000, 13.2, ProgressUnit::kItems),
            "embed  412/5000  8%  31.2/s  2m27s left");
  EXPECT_EQ(progress_line("m.safetensors", 1'500'000'000, 6'000'000'000, 10, ProgressUnit::kBytes),
            "m.safetensors  1.5 GB/6.0 GB  25%  150.0 MB/s  30s left");
  EXPECT_EQ(progress_line("embed", 1, 100'000, 2, ProgressUnit::kItems),
            "embed  1/100000  0%  0.5/s  55h33m left");
}

TEST(ProgressLineTest, SaysOnlyWhatIsKnown) {
  EXPECT_EQ(progress_line("embed", 0, 10, 3, ProgressUnit::kItems), "embed  0/10  0%");
  EXPECT_EQ(progress_line("embed", 990, 0, 10, ProgressUnit::kBytes), "embed  990 B  99 B/s");
  EXPECT_EQ(progress_line("embed", 999, 1000, 9.99, ProgressUnit::kItems),
            "embed  999/1000  99%  100/s  0s left");
  EXPECT_EQ(progress_line("embed", 10, 10, 1, ProgressUnit::kItems), "embed  10/10  100%  10/s");
}

TEST(ProgressLineTest, DoesNotCountWhatWasDoneBefore) {
  EXPECT_EQ(progress_line("index", 800, 1000, 10, ProgressUnit::kItems, 700),
            "index  800/1000  80%  10/s  20s left");
  EXPECT_EQ(progress_line("index", 700, 1000, 10, ProgressUnit::kItems, 700),
            "index  700/1000  70%");
}

TEST_F(ProgressTest, IsSilentInTheFirstTwoSeconds) {
  {
    Progress progress("embed", ProgressUnit::kItems, surroundings(true));
    now_s_ += 1.9;
    progress.update(5, 10);
  }
  EXPECT_EQ(output_, "");
}

TEST_F(ProgressTest, RedrawsOneLineOnATerminalAndClearsItAtTheEnd) {
  {
    Progress progress("embed", ProgressUnit::kItems, surroundings(true));
    now_s_ += 2;
    progress.update(5, 10);
    progress.update(6, 10);  // too soon
    now_s_ += 0.5;
    progress.update(7, 10);
  }
  EXPECT_EQ(output_,
            "\r\x1b[Kembed  5/10  50%  2.5/s  2s left"
            "\r\x1b[Kembed  7/10  70%  2.8/s  1s left"
            "\r\x1b[K");
}

TEST_F(ProgressTest, PrintsALineEveryTenSecondsElsewhere) {
  {
    Progress progress("embed", ProgressUnit::kItems, surroundings(false));
    for (int i = 1; i <= 25; ++i) {
      now_s_ += 1;
      progress.update(static_cast<uint64_t>(i), 25);
    }
  }
  EXPECT_EQ(output_,
            "embed  10/25  40%  1/s  15s left\n"
            "embed  20/25  80%  1/s  5s left\n"
            "embed  25/25  100%  1/s\n");
}

TEST_F(ProgressTest, QuietShowsNothing) {
  Progress progress("embed", ProgressUnit::kItems, {true, {}, [this] { return now_s_; }});
  now_s_ += 60;
  progress.update(1, 2);
  EXPECT_EQ(output_, "");
}

}  // namespace
}  // namespace e5v::detail
