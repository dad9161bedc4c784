#include "e5v/train/loss_curve.h"

#include <algorithm>
#include <cmath>

namespace e5v::detail {
namespace {

constexpr double kWidth = 720, kHeight = 400;
constexpr double kLeft = 60, kRight = 15, kTop = 30, kBottom = 40;

struct Point {
  double step, loss;
};

/// Where steps and losses lie on the picture.
class Axes {
 public:
  explicit Axes(const std::vector<Point>& points) {
    for (const Point& point : points) {
      last_step_ = std::max(last_step_, point.step);
      highest_ = std::max(highest_, point.loss);
    }
    highest_ *= 1.05;
  }
  double x(double step) const {
    return kLeft + (kWidth - kLeft - kRight) * (last_step_ > 1 ? (step - 1) / (last_step_ - 1) : 0);
  }
  double y(double loss) const {
    return kHeight - kBottom - (kHeight - kTop - kBottom) * loss / highest_;
  }
  double last_step() const { return last_step_; }
  double highest() const { return highest_; }

 private:
  double last_step_ = 1;
  double highest_ = 1e-9;
};

std::vector<Point> points_of(const std::vector<Json>& metrics, const char* field) {
  std::vector<Point> points;
  for (const Json& one : metrics) {
    const auto step = find_field<int64_t>(one, "step");
    const auto loss = find_field<double>(one, field);
    if (step && loss && std::isfinite(*loss)) points.push_back({static_cast<double>(*step), *loss});
  }
  return points;
}

/// Each point's loss becomes the mean of the last tenth of the run up to it.
std::vector<Point> smoothed(const std::vector<Point>& points) {
  const size_t window = std::max<size_t>(points.size() / 10, 1);
  std::vector<Point> means;
  double sum = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    sum += points[i].loss;
    if (i >= window) sum -= points[i - window].loss;
    means.push_back({points[i].step, sum / static_cast<double>(std::min(i + 1, window))});
  }
  return means;
}

std::string polyline(const std::vector<Point>& points, const Axes& axes, const char* style) {
  std::string path = fmt::format("<polyline fill=\"none\" {} points=\"", style);
  for (const Point& point : points) {
    path += fmt::format("{:.1f},{:.1f} ", axes.x(point.step), axes.y(point.loss));
  }
  return path + "\"/>\n";
}

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     text);
}

}  // namespace

std::string loss_curve_svg(const std::vector<Json>& metrics) {
  const std::vector<Point> losses = points_of(metrics, "loss");
  const std::vector<Point> held_out = points_of(metrics, "eval_loss");
  std::vector<Point> all = losses;
  all.insert(all.end(), held_out.begin(), held_out.end());
  const Axes axes(all);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
      kWidth, kHeight);
  constexpr int kTicks = 5;
  for (int i = 0; i <= kTicks; ++i) {
    const double loss = axes.highest() * i / kTicks;
    const double step = std::round(1 + (axes.last_step() - 1) * i / kTicks);
    svg += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>\n",
                       kLeft, kWidth - kRight, axes.y(loss), axes.y(loss));
    svg += label(kLeft - 6, axes.y(loss) + 4, "end", fmt::format("{:.3g}", loss));
    svg += label(axes.x(step), kHeight - kBottom + 18, "middle", fmt::format("{:.0f}", step));
  }
  svg += label(kLeft, kTop - 12, "start", "loss");
  svg += label(kWidth - kRight, kHeight - 6, "end", "step");
  svg += polyline(losses, axes, "stroke=\"#9bb8d3\" stroke-width=\"1\"");
  svg += polyline(smoothed(losses), axes, "stroke=\"#1f5a99\" stroke-width=\"2\"");
  for (const Point& point : held_out) {
    svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"#c44e1a\"/>\n",
                       axes.x(point.step), axes.y(point.loss));
  }
  return svg + "</svg>\n";
}

}  // namespace e5v::detail
