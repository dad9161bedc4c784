#include "e5v/shapes/draw_text.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr int64_t kGlyphWidth = 5, kGlyphHeight = 8;
constexpr int64_t kAdvance = kGlyphWidth + 1, kLineHeight = kGlyphHeight + 1;
constexpr size_t kGlyphsPerSheet = 10;

/// The letters, ten side by side.
// clang-format off
constexpr std::array<std::string_view, 3> kLetters = {"abcdefghij", "klmnopqrst", "uvwxyz.,:?"};
constexpr std::array<std::array<std::string_view, kGlyphHeight>, 3> kSheets = {{
     {{
      "..... #.... ..... ....# ..... ..##. ..... #.... ..#.. ...#.",
      "..... #.... ..... ....# ..... .#... ..... #.... ..... .....",
      ".###. ####. .#### .#### .###. ####. .#### ####. .##.. ..##.",
      "....# #...# #.... #...# #...# .#... #...# #...# ..#.. ...#.",
      ".#### #...# #.... #...# ##### .#... #...# #...# ..#.. ...#.",
      "#...# #...# #.... #...# #.... .#... .#### #...# ..#.. ...#.",
      ".#### ####. .#### .#### .###. .#... ....# #...# .###. #..#.",
      "..... ..... ..... ..... ..... ..... .###. ..... ..... .##.."
     }},
     {{
      "#.... .##.. ..... ..... ..... ..... ..... ..... ..... .#...",
      "#.... ..#.. ..... ..... ..... ..... ..... ..... ..... .#...",
      "#..#. ..#.. ##.#. ####. .###. ####. .#### #.##. .#### ####.",
      "#.#.. ..#.. #.#.# #...# #...# #...# #...# ##..# #.... .#...",
      "##... ..#.. #.#.# #...# #...# #...# #...# #.... .###. .#...",
      "#.#.. ..#.. #.#.# #...# #...# ####. .#### #.... ....# .#...",
      "#..#. .###. #.#.# #...# .###. #.... ....# #.... ####. ..##.",
      "..... ..... ..... ..... ..... #.... ....# ..... ..... ....."
     }},
     {{
      "..... ..... ..... ..... ..... ..... ..... ..... ..... .###.",
      "..... ..... ..... ..... ..... ..... ..... ..... ..... #...#",
      "#...# #...# #...# #...# #...# ##### ..... ..... ..... ...#.",
      "#...# #...# #.#.# .#.#. #...# ...#. ..... ..... ..#.. ..#..",
      "#...# #...# #.#.# ..#.. #...# ..#.. ..... ..... ..... ..#..",
      "#...# .#.#. #.#.# .#.#. .#### .#... ..... ..... ..... .....",
      ".#### ..#.. .#.#. #...# ....# ##### ..#.. ..#.. ..#.. ..#..",
      "..... ..... ..... ..... .###. ..... ..... .#... ..... ....."
     }},
}};
// clang-format on

/// True if the pixel (x, y) of a character's glyph is black; other characters are boxes.
bool is_black(char character, int64_t x, int64_t y) {
  if (character == ' ') return false;
  if (character >= 'A' && character <= 'Z') character = static_cast<char>(character - 'A' + 'a');
  for (size_t sheet = 0; sheet < kSheets.size(); ++sheet) {
    const size_t place = kLetters[sheet].find(character);
    if (place == std::string_view::npos) continue;
    const size_t column = place * kAdvance + static_cast<size_t>(x);
    return kSheets[sheet][static_cast<size_t>(y)][column] == '#';
  }
  return y < kGlyphHeight - 1 && (x == 0 || x == kGlyphWidth - 1 || y == 0 || y == 6);
}

/// Lines of at most `columns` characters, broken at blanks; longer words are cut.
std::vector<std::string> wrap(std::string_view text, size_t columns) {
  std::vector<std::string> lines;
  std::string line;
  const auto flush = [&] {
    if (!line.empty()) lines.push_back(std::exchange(line, {}));
  };
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    std::string_view word = text.substr(at, end - at);
    at = end + 1;
    if (!line.empty() && line.size() + 1 + word.size() > columns) flush();
    for (; word.size() > columns; word.remove_prefix(columns)) {
      lines.emplace_back(word.substr(0, columns));
    }
    if (!line.empty() && !word.empty()) line += ' ';
    line += word;
  }
  flush();
  return lines;
}

}  // namespace

Image draw_text(std::string_view text, int64_t side) {
  const auto columns = static_cast<size_t>(std::max<int64_t>((side - 1) / kAdvance, 0));
  const std::vector<std::string> lines =
      columns == 0 ? std::vector<std::string>() : wrap(text, columns);
  const int64_t height = static_cast<int64_t>(lines.size()) * kLineHeight;
  if (columns == 0 || height > side) {
    throw InputError(fmt::format("a text of {} bytes does not fit a picture of {} x {} pixels",
                                 text.size(), side, side));
  }
  Image image(side, side);
  std::fill(image.rgb.begin(), image.rgb.end(), uint8_t{255});
  for (size_t l = 0; l < lines.size(); ++l) {
    const int64_t top = (side - height) / 2 + static_cast<int64_t>(l) * kLineHeight;
    for (size_t c = 0; c < lines[l].size(); ++c) {
      for (int64_t y = 0; y < kGlyphHeight; ++y) {
        for (int64_t x = 0; x < kGlyphWidth; ++x) {
          if (!is_black(lines[l][c], x, y)) continue;
          uint8_t* pixel = image.row(top + y) + 3 * (1 + static_cast<int64_t>(c) * kAdvance + x);
          std::fill(pixel, pixel + 3, uint8_t{0});
        }
      }
    }
  }
  return image;
}

}  // namespace e5v::detail
