#include "e5v/index/search_target.h"

#include "e5v/base/error.h"
#include "e5v/index/collection.h"
#include "e5v/index/filter.h"
#include "e5v/index/postgres.h"

namespace e5v {

void SearchTarget::check_filter(const std::string& where) const {
  if (!where.empty()) parse_filter(where, SqlDialect::kSqlite);
}

void require_fingerprint(const CollectionSettings& settings, const Json& fingerprint,
                         const std::string& where) {
  for (const auto& [key, value] : fingerprint.items()) {
    const Json known = settings.fingerprint.value(key, Json());
    if (known == value) continue;
    throw ConfigError(
        fmt::format("{}: was made with another '{}': {}, now {}; vectors of different models "
                    "cannot be compared",
                    where, key, json_excerpt(known), json_excerpt(value)));
  }
}

std::unique_ptr<SearchTarget> open_search_target(const std::string& place) {
  if (is_postgres_uri(place)) return std::make_unique<PostgresCollection>(place);
  return std::make_unique<Collection>(place);
}

}  // namespace e5v
