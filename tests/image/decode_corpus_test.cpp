#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <filesystem>

#include "e5v/base/error.h"
#include "e5v/image/decode.h"

namespace e5v::detail {
namespace {

std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  return files;
}

struct Outcome {
  int num_images = 0;
  int num_errors = 0;
};

/// Decodes all files below E5V_SHARED_DATA/<folder>. Each must give an image, or an Error with a
/// message of one line, within a few seconds.
Outcome decode_all(const std::string& folder) {
  Outcome outcome;
  for (const auto& path : files_below(std::filesystem::path(E5V_SHARED_DATA) / folder)) {
    const auto start = std::chrono::steady_clock::now();
    try {
      const Image image = load_image(path);
      EXPECT_EQ(image.rgb.size(), static_cast<size_t>(image.height * image.width * 3)) << path;
      EXPECT_GT(image.rgb.size(), 0u) << path;
      ++outcome.num_images;
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_FALSE(message.empty()) << path;
      EXPECT_EQ(message.find('\n'), message.npos) << message;
      ++outcome.num_errors;
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_LT(seconds.count(), 10.0) << path;
  }
  return outcome;
}

TEST(DecodeCorpusTest, EveryBadFileGivesAnImageOrOneClearError) {
  if (!std::filesystem::exists(std::filesystem::path(E5V_SHARED_DATA) / "badinput")) {
    GTEST_SKIP() << "no folder of bad input files at " << E5V_SHARED_DATA << "/badinput";
  }
  const Outcome outcome = decode_all("badinput");
  RecordProperty("images", outcome.num_images);
  RecordProperty("errors", outcome.num_errors);
  EXPECT_GT(outcome.num_images, 500);
  EXPECT_GT(outcome.num_errors, 500);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  EXPECT_LT(usage.ru_maxrss, 3 << 20) << "KiB at the peak";
}

TEST(DecodeCorpusTest, EveryPhotoIsDecodedButTheUnsupportedOnes) {
  if (!std::filesystem::exists(std::filesystem::path(E5V_SHARED_DATA) / "photos")) {
    GTEST_SKIP() << "no folder of photos at " << E5V_SHARED_DATA << "/photos";
  }
  EXPECT_GT(decode_all("photos").num_images, 200);
}

}  // namespace
}  // namespace e5v::detail
