#include "e5v/train/picture_features.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <variant>

#include "e5v/base/content_hash.h"
#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/embed/item_source.h"
#include "e5v/image/decode.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> list_pictures(const fs::path& source) {
  std::vector<fs::path> paths;
  const ItemInput input = open_items(source);
  while (auto read = input.next()) {
    if (read->error) throw *read->error;
    for (const auto& image : read->item.images) {
      if (const auto* path = std::get_if<fs::path>(&image)) paths.push_back(*path);
    }
  }
  if (paths.empty()) {
    throw ConfigError(
        fmt::format("{}: no pictures, expected a folder of them (.jpg .jpeg .png "
                    ".webp .gif .bmp) or JSON lines with \"image\"",
                    source.native()));
  }
  return paths;
}

/// Features as they are done: a digest of what they are of, then rows of float32, of a picture that
/// could not be read NaN.
class FeatureFile {
 public:
  FeatureFile(fs::path path, ContentHash digest, int64_t width)
      : path_(std::move(path)), row_bytes_(static_cast<size_t>(width) * sizeof(float)) {
    if (path_.empty()) return;
    if (!read(digest)) {
      done_.clear();
      std::ofstream file(path_, std::ios::binary | std::ios::trunc);
      file.write(reinterpret_cast<const char*>(&digest), sizeof(digest));
      if (!file.flush()) throw FileError(path_.native(), "cannot write", std::strerror(errno));
    }
    file_.open(path_, std::ios::binary | std::ios::app);
  }

  /// Rows that were there.
  const std::string& done() const { return done_; }

  void add(const at::Tensor& rows) {
    if (path_.empty()) return;
    file_.write(static_cast<const char*>(rows.data_ptr()),
                static_cast<std::streamsize>(rows.nbytes()));
    if (!file_.flush()) throw FileError(path_.native(), "cannot write", std::strerror(errno));
  }

 private:
  /// False if the file is not of these pictures. A row that was cut off is dropped.
  bool read(ContentHash digest) {
    if (!fs::exists(path_)) return false;
    const std::string bytes = read_file(path_, UINT64_MAX);
    if (bytes.size() < sizeof(digest)) return false;
    if (std::memcmp(bytes.data(), &digest, sizeof(digest)) != 0) return false;
    const size_t num_rows = (bytes.size() - sizeof(digest)) / row_bytes_;
    done_ = bytes.substr(sizeof(digest), num_rows * row_bytes_);
    fs::resize_file(path_, sizeof(digest) + done_.size());
    return true;
  }

  fs::path path_;
  size_t row_bytes_;
  std::string done_;
  std::ofstream file_;
};

/// Of the pictures' paths and sizes, and of some of the model's values.
ContentHash digest_of(const std::vector<fs::path>& paths, const Clip& clip) {
  ContentHasher hasher;
  for (const fs::path& path : paths) {
    std::error_code missing;
    hasher.add(path.native()).add(uint64_t{fs::file_size(path, missing)});
  }
  const c10::InferenceMode inference;
  const int64_t S = clip.config().vision.image_size;
  const at::Tensor probe = clip.encode_images(at::ones({1, 3, S, S})).contiguous();
  hasher.add({static_cast<const char*>(probe.data_ptr()), probe.nbytes()});
  return hasher.hash();
}

/// The tile of a picture, or nullopt with a warning where it may be left out.
std::optional<ImageTiles> read_tiles(const fs::path& path, const ImageProcessor& processor,
                                     const PictureFeaturesOptions& options) {
  try {
    return processor.tiles(load_image(path));
  } catch (const Error& error) {
    if (options.on_bad_picture == OnBadRow::kStop) throw;
    if (options.on_warning) options.on_warning(fmt::format("left out: {}", error.what()));
    return std::nullopt;
  }
}

at::Tensor features_of(std::span<const fs::path> paths, const Clip& clip,
                       const ImageProcessor& processor, const PictureFeaturesOptions& options) {
  const int64_t S = clip.config().vision.image_size;
  const at::Tensor pixel_values = at::zeros({static_cast<int64_t>(paths.size()), 3, S, S});
  const auto count = static_cast<size_t>(3 * S * S);
  std::vector<int64_t> unread;
  for (size_t i = 0; i < paths.size(); ++i) {
    if (const auto tiles = read_tiles(paths[i], processor, options)) {
      processor.write_pixel_values(*tiles, {pixel_values.data_ptr<float>() + i * count, count});
    } else {
      unread.push_back(static_cast<int64_t>(i));
    }
  }
  const c10::InferenceMode inference;
  at::Tensor features = clip.encode_images(pixel_values).cpu().contiguous();
  for (const int64_t row : unread) features[row].fill_(NAN);
  return features;
}

}  // namespace

PictureFeatures compute_picture_features(const fs::path& pictures, const Clip& clip,
                                         const ImageProcessor& processor,
                                         const PictureFeaturesOptions& options) {
  const std::vector<fs::path> paths = list_pictures(pictures);
  const int64_t P = clip.config().projection_dim, N = static_cast<int64_t>(paths.size());
  FeatureFile file(options.cache, digest_of(paths, clip), P);
  const at::Tensor all = at::empty({N, P}, at::kFloat);
  std::memcpy(all.data_ptr(), file.done().data(), std::min(file.done().size(), all.nbytes()));
  int64_t at = static_cast<int64_t>(file.done().size() / sizeof(float)) / P;
  while (at < N) {
    const int64_t end = std::min(at + options.batch_size, N);
    const at::Tensor rows = features_of(
        std::span(paths).subspan(static_cast<size_t>(at), static_cast<size_t>(end - at)), clip,
        processor, options);
    all.slice(0, at, end).copy_(rows);
    file.add(rows);
    at = end;
    if (options.on_progress)
      options.on_progress(static_cast<uint64_t>(at), static_cast<uint64_t>(N));
  }
  const at::Tensor read = at::nonzero(at::isfinite(all).all(1)).squeeze(1);
  PictureFeatures result{.paths = {}, .features = all.index_select(0, read)};
  for (int64_t i = 0; i < read.size(0); ++i) {
    result.paths.push_back(paths[static_cast<size_t>(read[i].item<int64_t>())]);
  }
  if (result.paths.empty()) {
    throw ConfigError(fmt::format("{}: none of {} pictures could be read", pictures.native(), N));
  }
  return result;
}

}  // namespace e5v::detail
