#include "e5v/eval/html_report.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "e5v/base/base64.h"
#include "e5v/base/error.h"
#include "e5v/base/html.h"
#include "e5v/eval/eval_image.h"
#include "e5v/eval/protocols.h"
#include "e5v/eval/report.h"
#include "e5v/image/encode_png.h"
#include "e5v/image/resize.h"

namespace e5v::detail {
namespace {

constexpr int64_t kThumbnailSide = 144;  // pixels
constexpr size_t kMaxPoints = 1500;      // of one modality in a plot

constexpr const char* kStyle = R"(
:root{--ink:#1b1e23;--soft:#5d6571;--line:#d9dde3;--paper:#fff;--wash:#f5f6f8;--a:#1f6feb;--b:#d9822b;--good:#1a7f4b;--bad:#b4382d}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaee;--soft:#a0a8b4;--line:#363b44;--paper:#16181c;--wash:#1f2227;--a:#5b9bff;--b:#f0a050;--good:#4cc38a;--bad:#f0776b}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;max-width:1080px;padding:28px 20px 60px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:36px 0 10px}p{margin:6px 0}.soft{color:var(--soft)}
.note{border-left:4px solid var(--bad);background:var(--wash);padding:8px 14px;margin:14px 0}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;font-variant-numeric:tabular-nums}
th{color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}td.own{font-weight:600}
.plots{display:flex;flex-wrap:wrap;gap:24px}figure{margin:0}figcaption{color:var(--soft);font-size:13px}
svg text{fill:var(--soft);font-size:11px}.key i{display:inline-block;width:10px;height:10px;border-radius:5px;margin:0 4px 0 12px}
.query{border-top:1px solid var(--line);padding:12px 0;display:flex;gap:14px;align-items:flex-start}
.asked{flex:0 0 200px}.asked img{display:block}.found{display:flex;flex-wrap:wrap;gap:10px}
.item{width:128px;font-size:12px;color:var(--soft)}.item .box{border:2px solid var(--line);min-height:60px;display:flex;align-items:center;justify-content:center;background:var(--wash);padding:2px;overflow-wrap:anywhere;color:var(--ink)}
.item.right .box{border-color:var(--good)}.item.missed .box{border:2px dashed var(--good)}.item b{color:var(--good)}img{max-width:100%;height:auto}
)";

/// The page, piece by piece.
class HtmlPage {
 public:
  std::string take() { return std::move(html_); }
  void add(std::string_view html) { html_ += html; }

  void add_figures(const TaskReport& report) {
    const std::vector<PublishedFigures>& published = published_figures(report.task);
    add("<h2>Figures</h2><div class=scroll><table><tr><th>metric<th>measured<th>95 % interval");
    for (const auto& figures : published) add("<th>" + html_escape(figures.system) + ", paper");
    add("</tr>");
    for (const Metric& metric : report.metrics) {
      add(fmt::format("<tr><td>{}<td class=own>{:.2f}<td>", html_escape(metric.name),
                      metric.value));
      if (metric.interval) {
        add(fmt::format("{:.2f} – {:.2f}", metric.interval->low, metric.interval->high));
      }
      for (const auto& figures : published) {
        const auto found = figures.metrics.find(metric.name);
        add(found == figures.metrics.end() ? "<td>" : fmt::format("<td>{:.2f}", found->second));
      }
      add("</tr>");
    }
    add("</table></div>");
  }

  /// Share of queries answered within the first k, over k on a logarithmic axis.
  void add_recall_curve(const RankHistogram& histogram) {
    constexpr double kWidth = 480, kHeight = 240, kLeft = 40, kBottom = 26, kTop = 10;
    int64_t largest = 10;
    for (const int64_t rank : histogram.ranks) largest = std::max(largest, rank + 1);
    const double decades = std::log10(static_cast<double>(largest));
    const auto x = [&](double k) {
      return kLeft + std::log10(k) / decades * (kWidth - kLeft - 10);
    };
    const auto y = [&](double share) {
      return kHeight - kBottom - share * (kHeight - kBottom - kTop);
    };
    std::string points;
    std::vector<int64_t> sorted = histogram.ranks;
    std::erase_if(sorted, [](int64_t rank) { return rank < 0; });
    std::sort(sorted.begin(), sorted.end());
    for (int step = 0; step <= 60; ++step) {
      const double k = std::pow(10, decades * step / 60);
      const auto within = std::lower_bound(sorted.begin(), sorted.end(),
                                           static_cast<int64_t>(std::floor(k + 1e-9)));
      const double share = static_cast<double>(within - sorted.begin()) /
                           static_cast<double>(std::max<size_t>(1, histogram.ranks.size()));
      points += fmt::format("{:.1f},{:.1f} ", x(k), y(share));
    }
    add(fmt::format("<figure><svg width={0} height={1} viewBox='0 0 {0} {1}' role=img>", kWidth,
                    kHeight));
    for (const double share : {0.0, 0.25, 0.5, 0.75, 1.0}) {
      add(fmt::format(
          "<line x1={} x2={} y1={:.1f} y2={:.1f} stroke='var(--line)'/>"
          "<text x={} y={:.1f} text-anchor=end>{:.0f}</text>",
          kLeft, kWidth - 10, y(share), y(share), kLeft - 6, y(share) + 4, 100 * share));
    }
    const auto label = [&](double k, const char* anchor) {
      add(fmt::format("<text x={:.1f} y={} text-anchor={}>{:.0f}</text>", x(k), kHeight - 8, anchor,
                      k));
    };
    const auto last = static_cast<double>(largest);
    for (double k = 1; k <= last / 2; k *= 10) label(k, "middle");
    label(last, "end");
    add(
        fmt::format("<polyline points='{}' fill=none stroke='var(--a)' stroke-width=2 />"
                    "</svg><figcaption>{}: share (%) within the first k</figcaption></figure>",
                    points, html_escape(histogram.title)));
  }

  void add_plane(const NamedPlot& named) {
    constexpr double kSide = 340, kMargin = 14;
    double extent = 1e-12;
    for (const auto* points : {&named.plot.images, &named.plot.texts}) {
      for (const auto& p : *points) extent = std::max({extent, std::abs(p[0]), std::abs(p[1])});
    }
    const auto place = [&](double value) {
      return kSide / 2 + value / extent * (kSide / 2 - kMargin);
    };
    add(
        fmt::format("<figure><svg width={0} height={0} viewBox='0 0 {0} {0}' role=img>"
                    "<rect width={0} height={0} fill='var(--wash)'/>",
                    kSide));
    const auto dots = [&](const std::vector<std::array<double, 2>>& points, const char* colour) {
      const size_t step = points.size() / kMaxPoints + 1;
      for (size_t i = 0; i < points.size(); i += step) {
        add(fmt::format("<circle cx={:.1f} cy={:.1f} r=2.4 fill='var(--{})' fill-opacity=.6 />",
                        place(points[i][0]), kSide - place(points[i][1]), colour));
      }
    };
    dots(named.plot.images, "a");
    dots(named.plot.texts, "b");
    add(fmt::format(
        "</svg><figcaption>{}; the two axes hold {:.0f} % and {:.0f} % of the variance"
        "<span class=key><i style='background:var(--a)'></i>pictures"
        "<i style='background:var(--b)'></i>texts</span></figcaption></figure>",
        html_escape(named.title), 100 * named.plot.explained[0], 100 * named.plot.explained[1]));
  }

  void add_examples(const ExampleList& list) {
    if (list.examples.empty()) return;
    add("<h2>" + html_escape(list.title) + "</h2>");
    for (const RetrievalExample& example : list.examples) {
      add("<div class=query><div class=asked>");
      if (!example.image.id.empty()) add(picture(example.image));
      if (!example.text.empty()) add("<p>" + html_escape(example.text) + "</p>");
      if (example.rank >= 0)
        add(fmt::format("<p class=soft>right at place {}</p>", example.rank + 1));
      add("</div><div class=found>");
      for (size_t i = 0; i < example.found.size(); ++i) {
        const auto& found = example.found[i];
        add(fmt::format("<div class='item{}'>{}{}. {:.3f}{}</div>", found.is_right ? " right" : "",
                        box(found), i + 1, found.score, found.is_right ? " <b>right</b>" : ""));
      }
      for (const auto& expected : example.expected) {
        add(fmt::format("<div class='item missed'>{}place {}, <b>the right one</b></div>",
                        box(expected), example.rank + 1));
      }
      add("</div></div>");
    }
  }

 private:
  std::string box(const RetrievalExample::Found& found) {
    return "<div class=box>" +
           (found.image.id.empty() ? html_escape(found.text) : picture(found.image)) + "</div>";
  }

  /// A thumbnail within the page, or the picture's name.
  std::string picture(const EvalImage& image) {
    try {
      const Image full = load_eval_image(image, {}, renderer_);
      const double scale =
          std::min(1.0, static_cast<double>(kThumbnailSide) /
                            static_cast<double>(std::max(full.height, full.width)));
      const auto scaled = [scale](int64_t side) {
        return std::max<int64_t>(1, std::lround(static_cast<double>(side) * scale));
      };
      const Image small =
          resize(full, {scaled(full.height), scaled(full.width)}, Resample::kBilinear);
      const std::string png = encode_png(small);
      return fmt::format("<img alt=\"{}\" width={} height={} src=\"data:image/png;base64,{}\">",
                         html_escape(image.id), small.width, small.height,
                         encode_base64(std::as_bytes(std::span(png))));
    } catch (const Error&) {  // vectors are evaluated without their pictures, too
      return html_escape(image.id);
    }
  }

  std::string html_;
  std::optional<TextImageRenderer> renderer_;
};

}  // namespace

std::string results_html(const TaskReport& report) {
  HtmlPage page;
  page.add(
      fmt::format("<!doctype html><html lang=en><meta charset=utf-8>"
                  "<meta name=viewport content='width=device-width'>"
                  "<title>{}</title><style>{}</style><h1>{}</h1><p class=soft>",
                  html_escape(report.task), kStyle, html_escape(report.task)));
  page.add(fmt::format("{}<br>{}</p>", html_escape(fields_line(report.system, " · ")),
                       html_escape(fields_line(report.data, " · "))));
  if (!report.skipped.empty()) {
    page.add(
        fmt::format("<p class=note><b>Partial.</b> {} items could not be evaluated; the figures "
                    "are of the rest. results.json lists them.</p>",
                    report.skipped.size()));
  }
  page.add_figures(report);
  page.add(fmt::format("<p class=soft>{}</p>", html_escape(note_on_published(report.task))));
  if (!report.histograms.empty()) {
    page.add("<h2>How far down the right answer stands</h2><div class=plots>");
    for (const RankHistogram& histogram : report.histograms) page.add_recall_curve(histogram);
    page.add("</div>");
  }
  if (!report.plots.empty()) {
    page.add("<h2>Both modalities in a plane</h2><div class=plots>");
    for (const NamedPlot& plot : report.plots) page.add_plane(plot);
    page.add("</div>");
  }
  for (const ExampleList& list : report.examples) page.add_examples(list);
  page.add("</html>\n");
  return page.take();
}

}  // namespace e5v::detail
