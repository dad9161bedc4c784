#include "e5v/index/search_target.h"

#include "e5v/index/collection.h"
#include "e5v/index/filter.h"
#include "e5v/index/postgres.h"

namespace e5v::detail {

void SearchTarget::check_filter(const std::string& where) const {
  if (!where.empty()) parse_filter(where, SqlDialect::kSqlite);
}

std::unique_ptr<SearchTarget> open_search_target(const std::string& place) {
  if (is_postgres_uri(place)) return std::make_unique<PostgresCollection>(place);
  return std::make_unique<Collection>(place);
}

}  // namespace e5v::detail
