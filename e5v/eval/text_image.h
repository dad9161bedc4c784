#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/image.h"

namespace e5v::detail {

/// How a text is drawn as a picture; the defaults are the paper's (I2I-Flickr30K, I2I-COCO).
struct TextImageOptions {
  /// A TrueType font; empty = Liberation Sans, which has Arial's metrics, where the system has it.
  std::filesystem::path font;
  int64_t width = 800;     ///< pixels
  int64_t height = 400;    ///< pixels
  int64_t font_size = 40;  ///< pixels
  int64_t margin = 20;     ///< pixels left and right
};

/// Draws texts black on white as the published evaluation does with PIL (basic layout, pair
/// kerning): words wrapped to the width, lines of the height of what stands in them, all of them
/// vertically centred. Lines and positions equal PIL's. Two things differ on purpose: a word wider
/// than a line has a line of its own, cut off at the edge, where the published code never ends; and
/// invalid UTF-8 is drawn as U+FFFD.
///
/// For one thread at a time.
class TextImageRenderer {
 public:
  /// Throws FileError if there is no such font, FormatError if it is none, ConfigError for sizes.
  explicit TextImageRenderer(const TextImageOptions& options = {});
  TextImageRenderer(TextImageRenderer&&) noexcept;
  ~TextImageRenderer();

  /// A line as it is drawn; each word is followed by a space.
  struct Line {
    std::string text;
    double length = 0;  ///< pixels, in 64ths
    int64_t top = 0;    ///< of the ascender, pixels from the picture's top
  };
  std::vector<Line> layout(std::string_view text) const;

  Image render(std::string_view text) const;

  const std::filesystem::path& font() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The words of `text`: what stands between white space, as Python's str.split() has it.
std::vector<std::string> split_words(std::string_view text);

}  // namespace e5v::detail
