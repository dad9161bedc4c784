#pragma once

#include <array>
#include <filesystem>
#include <string>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/convert/random_model.h"
#include "e5v/image/encode_png.h"

namespace e5v::detail {

/// Writes into `folder`: "model", a CLIP of the miniature's size with random weights; "images",
/// eight pictures of one colour in one half; "pairs.jsonl", these and what they are called.
inline void write_clip_world(const std::filesystem::path& folder) {
  struct Color {
    const char* name;
    std::array<uint8_t, 3> rgb;
  };
  std::string rows, texts;
  std::filesystem::create_directories(folder / "images");
  for (const auto& [name, rgb] : {Color{"red", {220, 30, 30}}, Color{"green", {30, 200, 40}},
                                  Color{"blue", {30, 40, 220}}, Color{"yellow", {220, 210, 30}}}) {
    for (const bool left : {true, false}) {
      Image image(48, 48);
      for (int64_t y = 0; y < 48; ++y) {
        for (int64_t x = left ? 0 : 24; x < (left ? 24 : 48); ++x) {
          for (int64_t c = 0; c < 3; ++c) image.row(y)[3 * x + c] = rgb[static_cast<size_t>(c)];
        }
      }
      const std::string file = fmt::format("images/{}-{}.png", name, left ? "left" : "right");
      const std::string text = fmt::format("a {} half at the {}", name, left ? "left" : "right");
      write_file(folder / file, encode_png(image));
      rows += fmt::format(R"({{"anchor": {{"image": "{}"}}, "positive": "{}"}})"
                          "\n",
                          file, text);
      texts += text + "\n";
    }
  }
  write_file(folder / "pairs.jsonl", rows);
  write_file(folder / "texts.txt", texts + "a photo of\n");
  write_random_model(folder / "model", {.preset = "shapes-mini-clip",
                                        .seed = 5,
                                        .texts = folder / "texts.txt",
                                        .dtype = DType::F32});
}

}  // namespace e5v::detail
