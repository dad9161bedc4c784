#include "e5v/index/update.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/random.h"
#include "e5v/index/file_scan.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;

/// A 2 x 1 BMP of one colour: small, and a picture.
std::string bmp(uint8_t value) {
  std::string bytes("BM", 2);
  const auto put = [&](uint32_t number, int size) {
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(number >> (8 * i));
  };
  put(62, 4), put(0, 4), put(54, 4);                        // file size, reserved, pixels' offset
  put(40, 4), put(2, 4), put(1, 4), put(1, 2), put(24, 2);  // header, 2 x 1, 24 bits
  for (int i = 0; i < 6; ++i) put(0, 4);
  for (int i = 0; i < 6; ++i) put(value, 1);
  put(0, 2);
  return bytes;
}

/// Stands in for the model: the vector tells the colour.
std::vector<float> vector_of_colour(uint8_t value) {
  const double angle = value / 255.0;
  return {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
}

class UpdateTest : public testing::Test {
 protected:
  UpdateTest() {
    fs::create_directories(photos_);
    Collection::create(folder_ / "c", {.dimensions = 2});
    for (uint8_t i = 1; i <= 5; ++i) put("p" + std::to_string(i) + ".bmp", i);
  }

  void put(const std::string& name, uint8_t value) { write_file(photos_ / name, bmp(value)); }

  UpdateReport update(UpdateOptions options = {}) {
    num_embedded_ = 0;
    if (options.roots.empty()) options.roots = {photos_};
    Collection collection(folder_ / "c");
    return update_collection(collection, options, [&](const auto& next, const auto& done) {
      while (std::optional<Image> image = next()) {
        if (fail_after_ && num_embedded_ == *fail_after_) throw Error("the model broke");
        ++num_embedded_;
        const uint8_t value = image->rgb[0];
        if (value == 99) {
          done({}, "99 is no picture to embed");
        } else {
          done(vector_of_colour(value), "");
        }
      }
    });
  }

  /// Names with the colours that their vectors tell.
  std::map<std::string, int> contents() {
    std::map<std::string, int> contents;
    Collection collection(folder_ / "c");
    EXPECT_THAT(collection.verify(), IsEmpty());
    std::vector<CollectionItem> items;
    collection.for_each_item([&](const CollectionItem& item) { items.push_back(item); });
    const fs::path base = normal_path(folder_.path());
    for (const CollectionItem& item : items) {
      const auto vector = collection.find_vector(item.id);
      contents[fs::path(item.path).lexically_relative(base).native()] =
          static_cast<int>(std::lround(std::atan2(vector[1], vector[0]) * 255));
    }
    return contents;
  }

  const TemporaryFolder folder_;
  const fs::path photos_ = folder_ / "photos";
  int num_embedded_ = 0;
  std::optional<int> fail_after_;
};

TEST_F(UpdateTest, EmbedsOnlyWhatIsNewOrChanged) {
  UpdateReport report = update();
  EXPECT_EQ(report.embedded, 5);
  EXPECT_EQ(num_embedded_, 5);
  report = update();
  EXPECT_EQ(report.unchanged, 5);
  EXPECT_EQ(num_embedded_, 0);
  EXPECT_FALSE(report.changed());
  put("p2.bmp", 20);
  put("p6.bmp", 6);
  report = update();
  EXPECT_EQ(report.embedded, 2);
  EXPECT_EQ(contents()["photos/p2.bmp"], 20);
  EXPECT_EQ(contents()["photos/p6.bmp"], 6);
  EXPECT_EQ(contents().size(), 6u);
}

TEST_F(UpdateTest, ATouchedFileIsNotEmbeddedAgain) {
  update();
  fs::last_write_time(photos_ / "p1.bmp", fs::file_time_type::clock::now() + std::chrono::hours(1));
  const UpdateReport report = update();
  EXPECT_EQ(num_embedded_, 0);
  EXPECT_EQ(report.unchanged, 5);
  update();
  EXPECT_EQ(contents()["photos/p1.bmp"], 1);
}

TEST_F(UpdateTest, DeletedFilesLeave) {
  update();
  fs::remove(photos_ / "p3.bmp");
  EXPECT_EQ(update().removed, 1);
  EXPECT_EQ(contents().count("photos/p3.bmp"), 0u);
  EXPECT_EQ(contents().size(), 4u);
}

TEST_F(UpdateTest, MovedFilesAreRecognisedAndKeepTheirIds) {
  update();
  fs::create_directories(photos_ / "sub");
  fs::rename(photos_ / "p3.bmp", photos_ / "sub/q.bmp");
  const UpdateReport report = update();
  EXPECT_EQ(report.moved, 1);
  EXPECT_EQ(report.removed, 0);
  EXPECT_EQ(num_embedded_, 0);
  EXPECT_EQ(contents()["photos/sub/q.bmp"], 3);
  EXPECT_EQ(Collection(folder_ / "c").find_item(3)->path,
            normal_path(photos_ / "sub/q.bmp").native());
}

TEST_F(UpdateTest, CopiesShareAVectorWithoutTheModel) {
  update();
  fs::copy_file(photos_ / "p3.bmp", photos_ / "copy.bmp");
  EXPECT_EQ(update().copied, 1);
  EXPECT_EQ(num_embedded_, 0);
  EXPECT_EQ(contents()["photos/copy.bmp"], 3);
  // Also where both are new.
  put("x1.bmp", 50);
  put("x2.bmp", 50);
  EXPECT_EQ(update().copied, 1);
  EXPECT_EQ(num_embedded_, 1);
  EXPECT_EQ(contents()["photos/x2.bmp"], 50);
}

TEST_F(UpdateTest, FilesThatExchangeTheirContentsKeepThemApart) {
  update();
  put("p1.bmp", 2);
  put("p2.bmp", 1);
  put("p6.bmp", 1);
  update();
  EXPECT_EQ(contents()["photos/p1.bmp"], 2);
  EXPECT_EQ(contents()["photos/p2.bmp"], 1);
  EXPECT_EQ(contents()["photos/p6.bmp"], 1);
}

TEST_F(UpdateTest, BadFilesAreListedAndNotTriedAgainUntilTheyChange) {
  write_file(photos_ / "bad.jpg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
  put("no.bmp", 99);
  UpdateReport report = update();
  EXPECT_EQ(report.embedded, 5);
  ASSERT_EQ(report.skipped.size(), 2u);
  EXPECT_THAT(report.skipped[0].path, HasSubstr("bad.jpg"));
  EXPECT_THAT(report.skipped[0].reason, testing::Not(HasSubstr("bad.jpg")));
  EXPECT_THAT(report.skipped[1].reason, HasSubstr("99"));
  report = update();
  EXPECT_EQ(num_embedded_, 0);
  EXPECT_EQ(report.skipped.size(), 2u);
  write_file(photos_ / "bad.jpg", bmp(7));
  EXPECT_EQ(update().skipped.size(), 1u);
  EXPECT_EQ(contents()["photos/bad.jpg"], 7);
  fs::remove(photos_ / "no.bmp");
  EXPECT_THAT(update().skipped, IsEmpty());
  // A picture that becomes unreadable is no result any more.
  write_file(photos_ / "p1.bmp", "BM");
  update();
  EXPECT_EQ(contents().count("photos/p1.bmp"), 0u);
}

TEST_F(UpdateTest, ItemsOutsideTheRootsStay) {
  fs::create_directories(folder_ / "other");
  write_file(folder_ / "other" / "o.bmp", bmp(40));
  update({.roots = {photos_, folder_ / "other"}});
  fs::remove(photos_ / "p1.bmp");
  fs::remove(folder_ / "other" / "o.bmp");
  EXPECT_EQ(update().removed, 1);
  EXPECT_EQ(contents().count("other/o.bmp"), 1u);
  // A folder that is gone is an error, not an empty folder.
  EXPECT_THROW(update({.roots = {folder_ / "none"}}), FileError);
}

TEST_F(UpdateTest, ExcludedFilesLeave) {
  update();
  EXPECT_EQ(update({.excludes = {"p1*"}}).removed, 1);
  EXPECT_EQ(contents().size(), 4u);
}

TEST_F(UpdateTest, CaptionsComeAndChangeWithoutTheModel) {
  UpdateOptions options;
  options.captions["p1.bmp"] = {.text = "one", .metadata = {{"n", 1}}};
  update(options);
  EXPECT_EQ(Collection(folder_ / "c").find_item(1)->caption, "one");
  options.captions["p1.bmp"].text = "uno";
  update(options);
  EXPECT_EQ(num_embedded_, 0);
  EXPECT_EQ(Collection(folder_ / "c").find_item(1)->caption, "uno");
  // A run without captions does not take them away, nor does a new content.
  put("p1.bmp", 11);
  update();
  EXPECT_EQ(Collection(folder_ / "c").find_item(1)->caption, "uno");
}

TEST_F(UpdateTest, WhatWasEmbeddedIsKeptWhenTheModelFails) {
  fail_after_ = 3;
  EXPECT_THROW(update(), Error);
  EXPECT_EQ(contents().size(), 3u);
  fail_after_.reset();
  const UpdateReport report = update();
  EXPECT_EQ(report.embedded, 2);
  EXPECT_EQ(report.unchanged, 3);
}

TEST_F(UpdateTest, ProgressBeginsWithWhatIsDone) {
  update();
  put("p6.bmp", 6);
  std::vector<uint64_t> steps;
  update({.on_progress = [&](uint64_t done, uint64_t total) {
    steps.push_back(done);
    EXPECT_EQ(total, 6u);
  }});
  EXPECT_EQ(steps.front(), 5u);
  EXPECT_EQ(steps.back(), 6u);
}

}  // namespace
}  // namespace e5v::detail
