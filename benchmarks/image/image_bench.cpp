#include <benchmark/benchmark.h>

#include <filesystem>
#include <string>

#include "e5v/base/file.h"
#include "e5v/image/decode.h"
#include "e5v/image/image_processor.h"
#include "e5v/image/resize.h"

namespace e5v::detail {
namespace {

/// Smooth ramps with some noise, as large as asked.
Image make_picture(int64_t height, int64_t width) {
  Image image(height, width);
  uint32_t noise = 1;
  for (int64_t y = 0; y < height; ++y) {
    uint8_t* out = image.row(y);
    for (int64_t x = 0; x < width * 3; ++x) {
      noise = noise * 1664525 + 1013904223;
      out[x] = static_cast<uint8_t>((x + y) / 16 + (noise >> 28));
    }
  }
  return image;
}

/// A photo of 12 megapixels, to the sizes that it gets in a LLaVA-NeXT model.
void bench_resize(benchmark::State& state) {
  const Image image = make_picture(3000, 4000);
  const ImageSize size{state.range(0), state.range(1)};
  for (auto _ : state) {
    Image resized = resize(image, size, Resample::kBicubic);
    benchmark::DoNotOptimize(resized.rgb.data());
  }
  state.counters["megapixels/s"] = benchmark::Counter(
      12.0 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(bench_resize)->Args({504, 672})->Args({336, 336})->Unit(benchmark::kMillisecond);

/// Tiles and pixel_values of a picture, by its height and width.
void bench_preprocess(benchmark::State& state) {
  ImageProcessorConfig config;
  config.image_grid_pinpoints = {{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}};
  config.shortest_edge = 336;
  config.crop_size = {336, 336};
  const ImageProcessor processor(config);
  const Image image = make_picture(state.range(0), state.range(1));
  for (auto _ : state) {
    const std::vector<float> values = processor.pixel_values(processor.tiles(image));
    benchmark::DoNotOptimize(values.data());
  }
}
BENCHMARK(bench_preprocess)->Args({480, 640})->Args({3000, 4000})->Unit(benchmark::kMillisecond);

/// Decoding of one of the small files that the tests have; its name is the benchmark's.
void bench_decode(benchmark::State& state, const std::string& name) {
  const std::string bytes =
      read_file(std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens/image_decode/files" / name);
  for (auto _ : state) {
    const Image image = decode_image(std::as_bytes(std::span(bytes)), name);
    benchmark::DoNotOptimize(image.rgb.data());
  }
}
BENCHMARK_CAPTURE(bench_decode, jpeg, "rgb_420.jpg");
BENCHMARK_CAPTURE(bench_decode, png, "rgb_all_filters.png");
BENCHMARK_CAPTURE(bench_decode, webp, "lossy.webp");
BENCHMARK_CAPTURE(bench_decode, gif, "full_code_table.gif");
BENCHMARK_CAPTURE(bench_decode, bmp, "rgb.bmp");

/// Decoding of a photo of the caller's choice: E5V_BENCH_IMAGE=photo.jpg.
void bench_decode_photo(benchmark::State& state) {
  const char* path = std::getenv("E5V_BENCH_IMAGE");
  if (path == nullptr) {
    state.SkipWithError("set E5V_BENCH_IMAGE to a picture");
    return;
  }
  double megapixels = 0;
  for (auto _ : state) {
    const Image image = load_image(path);
    megapixels += static_cast<double>(image.height * image.width) / 1e6;
  }
  state.counters["megapixels/s"] = benchmark::Counter(megapixels, benchmark::Counter::kIsRate);
}
BENCHMARK(bench_decode_photo)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace e5v::detail

BENCHMARK_MAIN();
