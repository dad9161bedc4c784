#pragma once

#include <string>
#include <vector>

#include "e5v/index/search_target.h"

namespace e5v::detail {

/// The results of a search as an HTML page that shows the pictures where they lie.
std::string search_report_html(const std::string& query, const std::vector<SearchHit>& hits);

}  // namespace e5v::detail
