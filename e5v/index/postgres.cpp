#include "e5v/index/postgres.h"

#include <libpq-fe.h>

#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/base/utf8.h"
#include "e5v/index/export.h"  // shown_target
#include "e5v/index/filter.h"

namespace e5v::detail {
namespace {

/// As far as pgvector's HNSW goes with each type.
constexpr int64_t kMaxFloatIndex = 2000;
constexpr int64_t kMaxHalfIndex = 4000;
/// pgvector's limit of hnsw.ef_search.
constexpr int64_t kMaxBreadth = 1000;

using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

class Connection {
 public:
  explicit Connection(const std::string& uri)
      : place_(shown_target(uri)), connection_(PQconnectdb(uri.c_str()), PQfinish) {
    if (PQstatus(connection_.get()) != CONNECTION_OK) fail("cannot connect");
    // Notices would be printed.
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
    execute("SET client_encoding = 'UTF8'");
  }

  Result execute(const std::string& sql, const std::vector<std::string>& parameters = {}) {
    std::vector<const char*> values;
    for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
    Result result(PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()),
                               nullptr, values.data(), nullptr, nullptr, 0),
                  PQclear);
    const ExecStatusType status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_COPY_IN) {
      fail("PostgreSQL");
    }
    return result;
  }
  void put_line(const std::string& line) {
    if (PQputCopyData(connection_.get(), line.data(), static_cast<int>(line.size())) != 1) {
      fail("cannot copy");
    }
  }
  void end_copy() {
    if (PQputCopyEnd(connection_.get(), nullptr) != 1) fail("cannot copy");
    const Result result(PQgetResult(connection_.get()), PQclear);
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) fail("cannot copy");
    while (PGresult* rest = PQgetResult(connection_.get())) PQclear(rest);
  }

 private:
  [[noreturn]] void fail(const char* action) {
    std::string reason = PQerrorMessage(connection_.get());
    while (reason.ends_with('\n')) reason.pop_back();
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    throw FileError(place_, action, printable(reason, 500));
  }

  std::string place_;
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

std::string vector_text(std::span<const float> vector) {
  return fmt::format("[{}]", fmt::join(vector, ","));
}

/// A value of COPY's text format; what PostgreSQL's text cannot hold becomes U+FFFD.
std::string copy_text(std::string_view value) {
  std::string text;
  for (size_t at = 0; at < value.size();) {
    const Utf8Char c = next_utf8(value, at);
    at += c.size;
    switch (c.code_point) {
      case '\\':
        text += "\\\\";
        break;
      case '\t':
        text += "\\t";
        break;
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      default:
        append_utf8(text, c.code_point == 0 ? 0xfffd : c.code_point);
    }
  }
  return text;
}

/// JSON for a jsonb column, which takes no \u0000.
std::string jsonb_text(const Json& json) {
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (size_t at = 0; (at = text.find("\\u0000", at)) != std::string::npos;) {
    text.replace(at, 6, "\\ufffd");
  }
  return text;
}

std::string copy_line(const CollectionItem& item, std::span<const float> vector) {
  return fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", item.id, copy_text(item.kind),
                     copy_text(item.path), copy_text(item.text), copy_text(item.caption),
                     copy_text(jsonb_text(item.metadata)), item.size, item.mtime_ns,
                     copy_text(item.hash), vector_text(vector));
}

/// What the index is over, and how far apart two of it are, for ORDER BY.
struct IndexForm {
  std::string expression;
  std::string operators;
  std::string distance;  // with {} for the query's parameter
};

IndexForm index_form(int64_t dimensions) {
  if (dimensions <= kMaxFloatIndex) {
    return {"embedding", "vector_ip_ops",
            fmt::format("embedding <#> {{}}::vector({})", dimensions)};
  }
  if (dimensions <= kMaxHalfIndex) {
    const std::string half = fmt::format("(embedding::halfvec({}))", dimensions);
    return {half, "halfvec_ip_ops", fmt::format("{} <#> {{}}::halfvec({})", half, dimensions)};
  }
  const std::string bits = fmt::format("(binary_quantize(embedding)::bit({}))", dimensions);
  return {bits, "bit_hamming_ops",
          fmt::format("{} <~> binary_quantize({{}}::vector({}))::bit({})", bits, dimensions,
                      dimensions)};
}

constexpr const char* kColumns = "id, kind, path, text, caption, metadata, size, mtime_ns, hash";

std::string parameter_text(const SqlValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  return fmt::format("{}", std::get<double>(value));
}

}  // namespace

bool is_postgres_uri(const std::string& place) {
  return place.starts_with("postgresql://") || place.starts_with("postgres://");
}

int64_t export_to_postgres(Collection& collection, const std::string& uri,
                           const ProgressCallback& on_progress) {
  Connection connection(uri);
  const CollectionSettings& settings = collection.settings();
  std::vector<CollectionItem> items;
  collection.for_each_item([&](const CollectionItem& item) { items.push_back(item); });

  connection.execute("CREATE EXTENSION IF NOT EXISTS vector");
  connection.execute("BEGIN");
  connection.execute("DROP TABLE IF EXISTS e5v_items_new");
  connection.execute(fmt::format(
      "CREATE TABLE e5v_items_new (id bigint PRIMARY KEY, kind text NOT NULL, path text NOT NULL, "
      "text text NOT NULL, caption text NOT NULL, metadata jsonb NOT NULL, size bigint NOT NULL, "
      "mtime_ns bigint NOT NULL, hash text NOT NULL, embedding vector({}) NOT NULL)",
      settings.dimensions));
  connection.execute(fmt::format("COPY e5v_items_new ({}, embedding) FROM STDIN", kColumns));
  int64_t num_items = 0;
  for (const CollectionItem& item : items) {
    const std::vector<float> vector = collection.find_vector(item.id);
    if (vector.empty()) continue;  // removed meanwhile
    connection.put_line(copy_line(item, vector));
    ++num_items;
    if (on_progress) on_progress(static_cast<uint64_t>(num_items), items.size());
  }
  connection.end_copy();
  connection.execute("DROP TABLE IF EXISTS e5v_items");
  connection.execute("ALTER TABLE e5v_items_new RENAME TO e5v_items");
  const IndexForm form = index_form(settings.dimensions);
  connection.execute(fmt::format("CREATE INDEX e5v_items_embedding ON e5v_items USING hnsw ({} {})",
                                 form.expression, form.operators));
  connection.execute(
      "CREATE TABLE IF NOT EXISTS e5v_meta (key text PRIMARY KEY, value text NOT NULL)");
  connection.execute("DELETE FROM e5v_meta");
  const std::vector<std::pair<std::string, std::string>> meta = {
      {"dimensions", std::to_string(settings.dimensions)},
      {"fingerprint", settings.fingerprint.dump()},
      {"embedder", jsonb_text(settings.embedder)}};
  for (const auto& [key, value] : meta) {
    connection.execute("INSERT INTO e5v_meta VALUES ($1, $2)", {key, value});
  }
  connection.execute("COMMIT");
  return num_items;
}

struct PostgresCollection::Impl {
  Connection connection;
  CollectionSettings settings;

  explicit Impl(const std::string& uri) : connection(uri) {
    const Result rows = connection.execute("SELECT key, value FROM e5v_meta");
    Json meta = Json::object();
    for (int row = 0; row < PQntuples(rows.get()); ++row) {
      const std::string key = PQgetvalue(rows.get(), row, 0);
      meta[key] = parse_json(PQgetvalue(rows.get(), row, 1), "e5v_meta." + key);
    }
    settings.dimensions = require_field<int64_t>(meta, "dimensions");
    settings.fingerprint = require_field<Json>(meta, "fingerprint");
    settings.embedder = require_field<Json>(meta, "embedder");
  }
};

PostgresCollection::PostgresCollection(const std::string& uri)
    : impl_(std::make_unique<Impl>(uri)) {}

PostgresCollection::~PostgresCollection() = default;

const CollectionSettings& PostgresCollection::settings() const { return impl_->settings; }

std::vector<SearchHit> PostgresCollection::search(const SearchQuery& query) {
  const int64_t dimensions = impl_->settings.dimensions;
  if (static_cast<int64_t>(query.vector.size()) != dimensions || query.k < 1) {
    throw InputError(fmt::format("the query's vector has {} dimensions, the collection's {}",
                                 query.vector.size(), dimensions));
  }
  SqlCondition condition{.text = "TRUE", .parameters = {}};
  if (!query.where.empty()) condition = parse_filter(query.where, SqlDialect::kPostgres);
  std::vector<std::string> parameters;
  for (const SqlValue& value : condition.parameters) parameters.push_back(parameter_text(value));
  parameters.push_back(vector_text(query.vector));
  const std::string vector = fmt::format("${}", parameters.size());
  const int64_t num_candidates = 4 * query.k + 50;

  Connection& connection = impl_->connection;
  connection.execute("BEGIN");
  // A filter, or more candidates than the index gives: every item is compared.
  const bool by_index = query.where.empty() && num_candidates <= kMaxBreadth;
  connection.execute(by_index ? fmt::format("SET LOCAL hnsw.ef_search = {}", num_candidates)
                              : "SET LOCAL enable_indexscan = off");
  const std::string distance =
      by_index ? fmt::format(fmt::runtime(index_form(dimensions).distance), vector)
               : fmt::format("embedding <#> {}::vector({})", vector, dimensions);
  const Result rows = connection.execute(
      fmt::format("WITH candidates AS MATERIALIZED (SELECT * FROM e5v_items WHERE {} ORDER BY {} "
                  "LIMIT {}) SELECT {}, -(embedding <#> {}::vector({})) AS score FROM candidates "
                  "ORDER BY score DESC, id LIMIT {}",
                  condition.text, distance, num_candidates, kColumns, vector, dimensions, query.k),
      parameters);
  std::vector<SearchHit> hits;
  for (int row = 0; row < PQntuples(rows.get()); ++row) {
    const auto value = [&](int column) { return std::string(PQgetvalue(rows.get(), row, column)); };
    SearchHit hit{.item = {.id = std::stoll(value(0)),
                           .kind = value(1),
                           .path = value(2),
                           .text = value(3),
                           .caption = value(4),
                           .metadata = Json::parse(value(5), nullptr, false),
                           .size = std::stoll(value(6)),
                           .mtime_ns = std::stoll(value(7)),
                           .hash = value(8)},
                  .score = std::stod(value(9))};
    if (hit.score >= query.min_score) hits.push_back(std::move(hit));
  }
  connection.execute("COMMIT");
  return hits;
}

}  // namespace e5v::detail
