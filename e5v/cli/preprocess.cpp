#include <functional>
#include <memory>
#include <numeric>
#include <vector>

#include "e5v/base/npy.h"
#include "e5v/cli/commands.h"
#include "e5v/embed/default_model.h"
#include "e5v/families/registry.h"
#include "e5v/image/decode.h"

namespace e5v::detail {
namespace {

struct PreprocessCommand {
  std::filesystem::path model;
  std::filesystem::path image;
  std::filesystem::path output;
  PictureOptions options;
  DecodeOptions decode;

  void run(const CommandContext& context) const {
    const auto rules = load_architecture(model)->load_picture_rules(model, options);
    const PreparedPicture picture = rules->prepare(load_image(image, decode));
    const ImageSize original = picture.original, resolution = rules->resolution(picture);
    const size_t num_tokens = rules->tokens(picture).size();
    const std::vector<int64_t> row_shape = rules->row_shape();

    NpyWriter writer(output, NpyType::kFloat32, row_shape);
    const int64_t row_values =
        std::accumulate(row_shape.begin(), row_shape.end(), int64_t{1}, std::multiplies<>());
    std::vector<float> values(static_cast<size_t>(picture.num_rows * row_values));
    rules->write_pixel_values(picture, values);
    writer.append(std::span<const float>(values));
    writer.commit();

    std::vector<int64_t> shape = row_shape;
    shape.insert(shape.begin(), picture.num_rows);
    if (context.json) {
      return context.print_json({{"image_size", {original.height, original.width}},
                                 {"resolution", {resolution.height, resolution.width}},
                                 {"shape", shape},
                                 {"num_tokens", num_tokens},
                                 {"output", output.native()}});
    }
    const bool is_tiled = row_shape.size() == 3;  // else rows are patches
    context.print(fmt::format(
        "{} x {} pixels -> {} x {} (w x h), {} {}{} of {}, {} tokens", original.width,
        original.height, resolution.width, resolution.height, picture.num_rows,
        is_tiled ? "tile" : "patch",
        picture.num_rows == 1 ? ""
        : is_tiled            ? "s"
                              : "es",
        is_tiled ? fmt::to_string(row_shape.back()) : fmt::format("{} values", row_shape.back()),
        num_tokens));
  }
};

}  // namespace

void register_preprocess(CLI::App& app, CommandContext& context) {
  Command command =
      add_command(app, context, "preprocess", "Write a picture as the vision tower's input",
                  "e5v preprocess --model models/e5-v --image photo.jpg --output tiles.npy\n"
                  "e5v preprocess --model models/e5-v --image photo.jpg --output tiles.npy "
                  "--image-processing 4.41 --no-exif\n"
                  "\n"
                  "tiles.npy is float32 [tiles, 3, side, side], the whole picture first; of a\n"
                  "Qwen3-VL [patches, values]. Prints the chosen resolution and how many tokens\n"
                  "stand for the picture.");
  auto preprocess = std::make_shared<PreprocessCommand>();
  command.add("model", preprocess->model, "Model folder; else E5V_MODEL or the built-in miniature");
  command.add_required("image", preprocess->image, "JPEG, PNG, WebP, GIF or BMP file");
  command.add_required("output", preprocess->output, ".npy file to write");
  command.add("image-processing", preprocess->options.processing,
              {{"current", ImageProcessing::kCurrent}, {"4.41", ImageProcessing::k4_41}},
              "Padding and resizing as transformers does today, or as 4.41 did for the paper");
  command.add("min-pixels", preprocess->options.min_pixels,
              "Least area of a resized picture, of models that take any size; 0 = the folder's");
  command.add("max-pixels", preprocess->options.max_pixels, "Largest area, likewise");
  command.add("exif", preprocess->decode.apply_exif_orientation,
              "Turn the picture as its EXIF orientation says");
  command.set_callback([preprocess, &context] {
    if (preprocess->model.empty()) preprocess->model = default_model();
    preprocess->run(context);
  });
}

}  // namespace e5v::detail
