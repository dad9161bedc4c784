#include "e5v/eval/text_image.h"

#include <ft2build.h>

#include FT_FREETYPE_H
#include FT_OUTLINE_H

#include <algorithm>
#include <array>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/utf8.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

/// Where Debian, Fedora and macOS keep fonts of Arial's metrics.
constexpr std::array kFontPaths = {
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation2/LiberationSans-Regular.ttf",
    "/usr/share/fonts/liberation-sans/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/msttcorefonts/Arial.ttf",
    "/Library/Fonts/Arial.ttf",
};

fs::path find_font() {
  for (const char* path : kFontPaths) {
    if (fs::exists(path)) return path;
  }
  throw FileError(kFontPaths[0], "cannot find a font",
                  "expected Liberation Sans or Arial (Debian: fonts-liberation); or name a font");
}

/// A length in 64ths of a pixel as the nearest pixel.
int64_t to_pixels(int64_t length) { return (length + 32) >> 6; }

std::u32string code_points(std::string_view text) {
  std::u32string points;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = next_utf8(text, at);
    points.push_back(c.code_point);
    at += c.size;
  }
  return points;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

struct Glyph {
  FT_UInt index = 0;
  int64_t advance = 0;  // 64ths of a pixel
};

}  // namespace

struct TextImageRenderer::Impl {
  TextImageOptions options;
  FT_Library library = nullptr;
  FT_Face face = nullptr;

  ~Impl() {
    if (face != nullptr) FT_Done_Face(face);
    if (library != nullptr) FT_Done_FreeType(library);
  }

  void load_glyph(FT_UInt index, FT_Int32 flags) const {
    if (FT_Load_Glyph(face, index, flags) != 0) {
      throw FormatError(options.font.native(), fmt::format("glyph {} cannot be drawn", index));
    }
  }

  std::vector<Glyph> glyphs(std::string_view text) const {
    std::vector<Glyph> result;
    for (const char32_t c : code_points(text)) {
      Glyph glyph{.index = FT_Get_Char_Index(face, c)};
      load_glyph(glyph.index, FT_LOAD_DEFAULT | FT_LOAD_BITMAP_METRICS_ONLY);
      glyph.advance = face->glyph->metrics.horiAdvance;
      FT_Vector kerning{};
      const bool is_kerned =
          FT_HAS_KERNING(face) && !result.empty() && result.back().index != 0 && glyph.index != 0;
      if (is_kerned && FT_Get_Kerning(face, result.back().index, glyph.index, FT_KERNING_DEFAULT,
                                      &kerning) == 0) {
        // PIL rounds to whole pixels and then takes them for 64ths: kerning all but vanishes.
        result.back().advance += to_pixels(kerning.x);
      }
      result.push_back(glyph);
    }
    return result;
  }

  int64_t length(std::string_view text) const {
    int64_t sum = 0;
    for (const Glyph& glyph : glyphs(text)) sum += glyph.advance;
    return sum;
  }

  /// From the lowest to the highest pixel of the line, its baseline included.
  int64_t line_height(std::string_view text) const {
    int64_t lowest = 0, highest = 0;
    for (const Glyph& glyph : glyphs(text)) {
      load_glyph(glyph.index, FT_LOAD_DEFAULT);
      const FT_GlyphSlot slot = face->glyph;
      FT_BBox box{};
      if (slot->format == FT_GLYPH_FORMAT_OUTLINE) {
        FT_Outline_Get_CBox(&slot->outline, &box);
        lowest = std::min<int64_t>(lowest, box.yMin >> 6);
        highest = std::max<int64_t>(highest, (box.yMax + 63) >> 6);
      } else {
        highest = std::max<int64_t>(highest, slot->bitmap_top);
        lowest = std::min<int64_t>(lowest, slot->bitmap_top - static_cast<int>(slot->bitmap.rows));
      }
    }
    return highest - lowest;
  }

  void draw_line(const Line& line, Image& image) const {
    const int64_t baseline = line.top + to_pixels(face->size->metrics.ascender);
    int64_t pen = 0;
    for (const Glyph& glyph : glyphs(line.text)) {
      load_glyph(glyph.index, FT_LOAD_DEFAULT | FT_LOAD_RENDER);
      const FT_GlyphSlot slot = face->glyph;
      if (slot->bitmap.pixel_mode == FT_PIXEL_MODE_GRAY) {
        blend(slot->bitmap, options.margin + to_pixels(pen) + slot->bitmap_left,
              baseline - slot->bitmap_top, image);
      }
      pen += glyph.advance;
    }
  }

  /// Black ink of the bitmap's coverage on what is there; what lies outside is cut off.
  static void blend(const FT_Bitmap& bitmap, int64_t left, int64_t top, Image& image) {
    for (int64_t row = 0; row < bitmap.rows; ++row) {
      const int64_t y = top + row;
      if (y < 0 || y >= image.height) continue;
      for (int64_t column = 0; column < bitmap.width; ++column) {
        const int64_t x = left + column;
        if (x < 0 || x >= image.width) continue;
        const int coverage = bitmap.buffer[row * bitmap.pitch + column];
        uint8_t* pixel = image.row(y) + 3 * x;
        const auto ink = static_cast<uint8_t>(pixel[0] * (255 - coverage) / 255);
        std::fill_n(pixel, 3, ink);
      }
    }
  }
};

TextImageRenderer::TextImageRenderer(const TextImageOptions& options)
    : impl_(std::make_unique<Impl>()) {
  const bool fits = options.width > 2 * options.margin && options.width <= 16384 &&
                    options.height > 0 && options.height <= 16384 && options.margin >= 0 &&
                    options.font_size > 0 && options.font_size <= 1024;
  if (!fits) {
    throw ConfigError(fmt::format("a text cannot be drawn with {} pixels on {} x {} (w x h)",
                                  options.font_size, options.width, options.height));
  }
  impl_->options = options;
  if (options.font.empty()) impl_->options.font = find_font();
  const std::string& font = impl_->options.font.native();
  if (!fs::exists(font)) throw FileError(font, "cannot open the font", "no such file");
  if (FT_Init_FreeType(&impl_->library) != 0) throw Error("FreeType does not start");
  if (FT_New_Face(impl_->library, font.c_str(), 0, &impl_->face) != 0 ||
      FT_Set_Pixel_Sizes(impl_->face, 0, static_cast<FT_UInt>(options.font_size)) != 0) {
    throw FormatError(font, "is not a font that FreeType reads, expected TrueType or OpenType");
  }
}

TextImageRenderer::TextImageRenderer(TextImageRenderer&&) noexcept = default;
TextImageRenderer::~TextImageRenderer() = default;

const fs::path& TextImageRenderer::font() const { return impl_->options.font; }

std::vector<TextImageRenderer::Line> TextImageRenderer::layout(std::string_view text) const {
  const int64_t limit = (impl_->options.width - 2 * impl_->options.margin) * 64;
  std::vector<Line> lines;
  for (const std::string& word : split_words(text)) {
    const bool fits = !lines.empty() && impl_->length(lines.back().text + word) <= limit;
    if (!fits) lines.emplace_back();
    lines.back().text += word + " ";
  }
  int64_t total = 0;
  std::vector<int64_t> heights;
  for (Line& line : lines) {
    line.length = static_cast<double>(impl_->length(line.text)) / 64;
    total += heights.emplace_back(impl_->line_height(line.text));
  }
  const int64_t space = impl_->options.height - total;
  int64_t top = space >= 0 ? space / 2 : -((1 - space) / 2);  // floored, as Python's //
  for (size_t i = 0; i < lines.size(); ++i) {
    lines[i].top = top;
    top += heights[i];
  }
  return lines;
}

Image TextImageRenderer::render(std::string_view text) const {
  Image image(impl_->options.height, impl_->options.width);
  std::fill(image.rgb.begin(), image.rgb.end(), uint8_t{255});
  for (const Line& line : layout(text)) impl_->draw_line(line, image);
  return image;
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = next_utf8(text, at);
    if (is_space(c.code_point)) {
      inside = false;
    } else {
      if (!inside) words.emplace_back();
      inside = true;
      words.back().append(text.substr(at, c.size));
    }
    at += c.size;
  }
  return words;
}

}  // namespace e5v::detail
