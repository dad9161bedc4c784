#include "e5v/image/resize.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/image/resample_row.h"

namespace e5v::detail {
namespace {

constexpr int64_t kMaxSide = 1 << 24;  // above it Pillow's float box loses pixels
constexpr int64_t kMaxPixels = int64_t{1} << 29;

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

/// A resampling filter: weight by distance in input pixels, 0 beyond `support`.
struct Filter {
  double (*weight)(double x);
  double support;
};

Filter find_filter(Resample resample) {
  switch (resample) {
    case Resample::kBox:
      return {[](double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }, 0.5};
    case Resample::kBilinear:
      return {[](double x) { return std::max(0.0, 1.0 - std::abs(x)); }, 1.0};
    case Resample::kHamming:
      return {[](double x) {
                x = std::abs(x);
                if (x == 0.0) return 1.0;
                if (x >= 1.0) return 0.0;
                x *= std::numbers::pi;
                // The window's factors are single precision in Pillow too.
                return std::sin(x) / x * (0.54f + 0.46f * std::cos(x));
              },
              1.0};
    case Resample::kBicubic:
      return {[](double x) {
                constexpr double a = -0.5;
                x = std::abs(x);
                if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
                if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
                return 0.0;
              },
              2.0};
    case Resample::kLanczos:
      return {[](double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }, 3.0};
    case Resample::kNearest:
      break;
  }
  E5V_ASSERT(!"a filter without weights");
  return {};
}

ResampleWeights make_weights(int64_t input_size, int64_t output_size, const Filter& filter) {
  const double scale = static_cast<double>(input_size) / static_cast<double>(output_size);
  const double filter_scale = std::max(scale, 1.0);
  const double support = filter.support * filter_scale;
  const double inverse_filter_scale = 1.0 / filter_scale;

  ResampleWeights result;
  result.windows.reserve(output_size);
  std::vector<double> weights;
  for (int64_t x = 0; x < output_size; ++x) {
    const double center = (static_cast<double>(x) + 0.5) * scale;
    const auto first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const auto end = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), input_size);
    E5V_ASSERT(first < end);
    weights.clear();
    double sum = 0.0;
    for (int64_t i = first; i < end; ++i) {
      weights.push_back(
          filter.weight((static_cast<double>(i) - center + 0.5) * inverse_filter_scale));
      sum += weights.back();
    }
    result.windows.push_back({static_cast<int32_t>(first), static_cast<int32_t>(end - first),
                              static_cast<int64_t>(result.weights.size())});
    for (const double weight : weights) {
      const double fixed = (sum != 0.0 ? weight / sum : weight) * (1 << kWeightBits);
      result.weights.push_back(static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
    }
    if (weights.size() % 2 != 0) result.weights.push_back(0);
  }
  return result;
}

Image resize_nearest(const Image& image, ImageSize size) {
  // The positions are summed up, not multiplied out: that is where Pillow's rounding comes from.
  const auto positions = [](int64_t input_size, int64_t output_size) {
    std::vector<int64_t> result;
    const double step = static_cast<double>(input_size) / static_cast<double>(output_size);
    double position = step * 0.5;
    for (int64_t i = 0; i < output_size; ++i, position += step) {
      result.push_back(std::min(static_cast<int64_t>(position), input_size - 1));
    }
    return result;
  };
  const std::vector<int64_t> columns = positions(image.width, size.width);
  const std::vector<int64_t> rows = positions(image.height, size.height);
  Image resized(size.height, size.width);
  for (int64_t y = 0; y < size.height; ++y) {
    uint8_t* out = resized.row(y);
    for (const int64_t x : columns) {
      std::copy_n(image.row(rows[y]) + x * 3, 3, out);
      out += 3;
    }
  }
  return resized;
}

/// Between the two directions a thin line can be far larger than before or after.
void check_pixels(ImageSize size) {
  if (size.height * size.width > kMaxPixels) {
    throw InputError(fmt::format("resizing passes through {} x {} pixels (w x h), more than {}",
                                 size.width, size.height, kMaxPixels));
  }
}

/// Gives every row `width` pixels.
Image resample_rows(const Image& image, int64_t width, const Filter& filter) {
  if (width == image.width) return image;
  const ResampleWeights weights = make_weights(image.width, width, filter);
  check_pixels({image.height, width});
  Image resampled(image.height, width);
  for (int64_t y = 0; y < image.height; ++y) {
    resample_row(image.row(y), image.width, weights, resampled.row(y));
  }
  return resampled;
}

/// Gives every column `height` pixels.
Image resample_columns(const Image& image, int64_t height, const Filter& filter) {
  if (height == image.height) return image;
  const ResampleWeights weights = make_weights(image.height, height, filter);
  const int64_t row_bytes = image.width * 3;
  check_pixels({height, image.width});
  Image resampled(height, image.width);
  for (int64_t y = 0; y < height; ++y) {
    const ResampleWeights::Window& window = weights.windows[y];
    blend_rows(image.row(window.first), row_bytes, row_bytes, &weights.weights[window.weights_at],
               window.count, resampled.row(y));
  }
  return resampled;
}

}  // namespace

Image resize(const Image& image, ImageSize size, Resample resample, ResizeOrder order) {
  for (const int64_t side : {image.height, image.width, size.height, size.width}) {
    if (side < 1 || side > kMaxSide) {
      throw InputError(
          fmt::format("cannot resize an image of {} x {} to {} x {} pixels (w x h): a "
                      "side must be between 1 and {}",
                      image.width, image.height, size.width, size.height, kMaxSide));
    }
  }
  if (image.size() == size) return image;
  check_pixels(size);
  if (resample == Resample::kNearest) return resize_nearest(image, size);

  const Filter filter = find_filter(resample);
  const int64_t lost_rows = image.height - size.height;
  const int64_t lost_columns = std::max<int64_t>(0, image.width - size.width);
  if (order == ResizeOrder::kPillow13 && lost_rows > 2 * lost_columns) {
    return resample_rows(resample_columns(image, size.height, filter), size.width, filter);
  }
  return resample_columns(resample_rows(image, size.width, filter), size.height, filter);
}

}  // namespace e5v::detail
