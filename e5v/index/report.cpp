#include "e5v/index/report.h"

#include <fmt/format.h>

#include "e5v/base/html.h"
#include "e5v/base/url.h"

namespace e5v::detail {
namespace {

constexpr const char* kHead = R"html(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem; }
h1 { font-size: 1.3rem; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem; list-style: none; padding: 0; }
img { width: 100%; height: 12rem; object-fit: contain; background: #8882; border-radius: .4rem; }
figure { margin: 0; } figcaption { font-size: .85rem; overflow-wrap: anywhere; }
b { font-variant-numeric: tabular-nums; }
</style>
)html";

}  // namespace

std::string search_report_html(const std::string& query, const std::vector<SearchHit>& hits) {
  const std::string title = html_escape(query);
  std::string html = kHead;
  html += fmt::format("<title>{}</title></head>\n<body><h1>{}</h1>\n", title, title);
  html += hits.empty() ? "<p>Nothing was found.</p>\n" : "<ol>\n";
  for (const SearchHit& hit : hits) {
    const std::string name = html_escape(hit.item.path);
    const std::string url = "file://" + url_encode(hit.item.path, "/");
    const std::string& words = hit.item.caption.empty() ? hit.item.text : hit.item.caption;
    html += fmt::format(
        "<li><figure><a href=\"{}\"><img src=\"{}\" alt=\"{}\" loading=\"lazy\"></a>"
        "<figcaption><b>{:.3f}</b> {}<br>{}</figcaption></figure></li>\n",
        url, url, name, hit.score, name, html_escape(words));
  }
  if (!hits.empty()) html += "</ol>\n";
  return html + "</body></html>\n";
}

}  // namespace e5v::detail
