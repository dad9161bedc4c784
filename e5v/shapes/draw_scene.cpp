#include "e5v/shapes/draw_scene.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

using Rgb = std::array<double, 3>;  // 0 to 1

constexpr std::array<Rgb, kNumColors> kColors = {{{.88, .12, .12},
                                                  {.12, .66, .18},
                                                  {.14, .24, .90},
                                                  {.94, .88, .12},
                                                  {.52, .12, .66},
                                                  {.98, .52, .06},
                                                  {.12, .82, .86},
                                                  {.98, .56, .76}}};
constexpr std::array<Rgb, kNumBackgrounds> kBackgrounds = {
    {{.06, .06, .06}, {.46, .46, .46}, {.95, .95, .95}}};

// Lengths in units of a field's side.
constexpr double kRadius[kNumSizes] = {4.3 / 16, 7.2 / 16};
constexpr double kRadiusWaver = .07, kPlaceWaver = 1.5 / 16, kColorWaver = .07,
                 kBackgroundWaver = .05, kNoise = .03;

/// Uniform in [-1, 1).
double signed_unit(SplitMix64& random) {
  return static_cast<double>(random.next() >> 11) * 0x1p-52 - 1;
}

/// Mean 0, deviation 1: the sum of four 16-bit uniforms, near enough to a normal distribution.
double noise(SplitMix64& random) {
  const uint64_t bits = random.next();
  uint64_t sum = 0;
  for (int shift = 0; shift < 64; shift += 16) sum += bits >> shift & 0xffff;
  constexpr double kMean = 2 * 65535.0, kDeviation = 37836.74;  // 65536 sqrt(4 / 12)
  return (static_cast<double>(sum) - kMean) / kDeviation;
}

double length(double x, double y) { return std::sqrt(x * x + y * y); }

/// A star of five points by folding the plane onto one half point (Quilez). Distance below 0 is
/// inside.
double star_distance(double x, double y, double radius) {
  constexpr double kX1 = 0.809016994375, kY1 = -0.587785252292;  // cos 36°, -sin 36°
  constexpr double kInner = .42;                                 // of the outer radius
  x = std::abs(x);
  y = -y;  // a point upwards
  const double fold1 = std::max(kX1 * x + kY1 * y, 0.0);
  x -= 2 * fold1 * kX1;
  y -= 2 * fold1 * kY1;
  const double fold2 = std::max(-kX1 * x + kY1 * y, 0.0);
  x += 2 * fold2 * kX1;
  y -= 2 * fold2 * kY1;
  x = std::abs(x);
  y -= radius;
  const double edge_x = -kY1 * kInner, edge_y = kX1 * kInner - 1;
  const double along = (x * edge_x + y * edge_y) / (edge_x * edge_x + edge_y * edge_y);
  const double h = std::clamp(along, 0.0, radius);
  const double distance = length(x - edge_x * h, y - edge_y * h);
  return y * edge_x - x * edge_y > 0 ? distance : -distance;
}

/// Signed distance of (x, y), y downwards, from the edge of a shape about the origin.
double shape_distance(int shape, double x, double y, double radius) {
  switch (shape) {
    case 0:  // circle
      return length(x, y) - radius * .95;
    case 1:  // square
      return std::max(std::abs(x), std::abs(y)) - radius * .82;
    case 2:  // triangle, a point upwards
      return std::max(y - radius * .75, std::abs(x) * .889 - (y + radius) * .458);
    case 3:
      return star_distance(x, y, radius * 1.12);
    case 4: {  // cross
      const double across = std::max(std::abs(x) - radius * .95, std::abs(y) - radius * .30);
      const double down = std::max(std::abs(y) - radius * .95, std::abs(x) - radius * .30);
      return std::min(across, down);
    }
    default:  // ring
      return std::abs(length(x, y) - radius * .72) - radius * .22;
  }
}

Rgb wavering(const Rgb& color, double waver, SplitMix64& random) {
  Rgb varied;
  for (size_t c = 0; c < 3; ++c) {
    varied[c] = std::clamp(color[c] + waver * signed_unit(random), 0.0, 1.0);
  }
  return varied;
}

struct Field {
  uint64_t x, y;
};

/// Fields of a 3 x 3 grid, in the order of the objects.
std::vector<Field> choose_fields(const Scene& scene, SplitMix64& random) {
  const uint64_t line = random.below(3);
  const size_t count = scene.objects.size();
  if (count == 1) return {{random.below(3), line}};
  const uint64_t left_out = count == 2 ? random.below(3) : 3;
  std::vector<Field> fields;
  for (uint64_t at = 0; at < 3; ++at) {
    if (at == left_out) continue;
    fields.push_back(scene.arrangement == Arrangement::kRow ? Field{at, line} : Field{line, at});
  }
  return fields;
}

}  // namespace

Image draw_scene(const Scene& scene, int64_t side, SplitMix64& random) {
  E5V_ASSERT(is_valid(scene) && side >= 24 && side <= 1024);
  const double field_side = static_cast<double>(side) / 3;
  std::vector<Rgb> pixels(
      static_cast<size_t>(side * side),
      wavering(kBackgrounds[static_cast<size_t>(scene.background)], kBackgroundWaver, random));
  const std::vector<Field> fields = choose_fields(scene, random);
  for (size_t i = 0; i < fields.size(); ++i) {
    const SceneObject& object = scene.objects[i];
    const double radius =
        field_side * kRadius[object.size] * (1 + kRadiusWaver * signed_unit(random));
    const auto center = [&](uint64_t field) {
      return field_side * (static_cast<double>(field) + .5 + kPlaceWaver * signed_unit(random));
    };
    const double center_x = center(fields[i].x), center_y = center(fields[i].y);
    const Rgb color = wavering(kColors[static_cast<size_t>(object.color)], kColorWaver, random);
    for (int64_t y = 0; y < side; ++y) {
      for (int64_t x = 0; x < side; ++x) {
        const double distance = shape_distance(object.shape, static_cast<double>(x) + .5 - center_x,
                                               static_cast<double>(y) + .5 - center_y, radius);
        const double cover = std::clamp(.5 - distance, 0.0, 1.0);
        if (cover == 0) continue;
        Rgb& pixel = pixels[static_cast<size_t>(y * side + x)];
        for (size_t c = 0; c < 3; ++c) pixel[c] += cover * (color[c] - pixel[c]);
      }
    }
  }
  Image image(side, side);
  for (size_t i = 0; i < pixels.size(); ++i) {
    for (size_t c = 0; c < 3; ++c) {
      const double value = std::clamp(pixels[i][c] + kNoise * noise(random), 0.0, 1.0);
      image.rgb[3 * i + c] = static_cast<uint8_t>(value * 255 + .5);
    }
  }
  return image;
}

}  // namespace e5v::detail
