#include <memory>
#include <vector>

#include "e5v/base/npy.h"
#include "e5v/cli/commands.h"
#include "e5v/cli/default_model.h"
#include "e5v/image/decode.h"
#include "e5v/image/image_processor.h"
#include "e5v/model/config.h"

namespace e5v {
namespace {

struct PreprocessCommand {
  std::filesystem::path model;
  std::filesystem::path image;
  std::filesystem::path output;
  ImageProcessing rule = ImageProcessing::kCurrent;
  DecodeOptions decode;

  void run(const CommandContext& context) const {
    const ImageProcessor processor = ImageProcessor::load(model, rule);
    const LlavaConfig config = LlavaConfig::load(model);
    const ImageTiles tiles = processor.tiles(load_image(image, decode));
    const ImageSize original = tiles.original;
    const int64_t side = tiles.tile_size;
    ImageSize resolution{side, side};
    int64_t num_tokens = config.features_per_tile();
    if (processor.is_anyres()) {
      const AnyresLayout layout = processor.layout(original, config.vision.patch_size);
      resolution = layout.best_resolution;
      num_tokens = layout.num_tokens();
    }

    NpyWriter writer(output, NpyType::kFloat32, {3, side, side});
    const std::vector<float> values = processor.pixel_values(tiles);
    writer.append(std::span<const float>(values));
    writer.commit();

    if (context.json) {
      return context.print_json({{"image_size", {original.height, original.width}},
                                 {"resolution", {resolution.height, resolution.width}},
                                 {"shape", {tiles.num_tiles, 3, side, side}},
                                 {"num_tokens", num_tokens},
                                 {"output", output.native()}});
    }
    context.print(fmt::format("{} x {} pixels -> {} x {} (w x h), {} tile{} of {}, {} tokens",
                              original.width, original.height, resolution.width, resolution.height,
                              tiles.num_tiles, tiles.num_tiles == 1 ? "" : "s", side, num_tokens));
  }
};

}  // namespace

void register_preprocess(CLI::App& app, CommandContext& context) {
  CLI::App* command =
      add_command(app, context, "preprocess", "Write a picture as the vision tower's input",
                  "e5v preprocess --model models/e5-v --image photo.jpg --output tiles.npy\n"
                  "e5v preprocess --model models/e5-v --image photo.jpg --output tiles.npy "
                  "--image-processing 4.41 --no-exif\n"
                  "\n"
                  "tiles.npy is float32 [tiles, 3, side, side], the whole picture first. Prints\n"
                  "the chosen resolution and how many tokens stand for the picture.");
  auto preprocess = std::make_shared<PreprocessCommand>();
  command->add_option("--model", preprocess->model,
                      "Model folder; else E5V_MODEL or the built-in miniature");
  command->add_option("--image", preprocess->image, "JPEG, PNG, WebP, GIF or BMP file")->required();
  command->add_option("--output", preprocess->output, ".npy file to write")->required();
  CliOptionRegistry registry(*command);
  registry.add("image-processing", preprocess->rule,
               {{"current", ImageProcessing::kCurrent}, {"4.41", ImageProcessing::k4_41}},
               "Padding and resizing as transformers does today, or as 4.41 did for the paper");
  registry.add("exif", preprocess->decode.apply_exif_orientation,
               "Turn the picture as its EXIF orientation says");
  command->callback([preprocess, &context] {
    if (preprocess->model.empty()) preprocess->model = default_model();
    preprocess->run(context);
  });
}

}  // namespace e5v
