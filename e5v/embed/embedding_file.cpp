#include "e5v/embed/embedding_file.h"

#include <fmt/ranges.h>

#include <cstring>
#include <system_error>

#include "e5v/base/file.h"
#include "e5v/base/npy.h"
#include "e5v/checkpoint/convert.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

fs::path with_suffix(fs::path path, const char* suffix) {
  path += suffix;
  return path;
}

/// Opens for appending, or afresh.
std::ofstream open_for_writing(const fs::path& path, bool append) {
  std::ofstream file(path, std::ios::binary | (append ? std::ios::app : std::ios::trunc));
  if (!file) throw FileError(path.native(), "cannot create", system_reason(errno));
  return file;
}

void write_or_throw(std::ofstream& file, std::string_view bytes, const fs::path& path) {
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.flush();  // what the journal says is done must be with the system
  if (!file) throw FileError(path.native(), "cannot write", system_reason(errno));
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void EmbeddingFileOptions::validate() const {
  if (path.extension() != ".npy" && path.extension() != ".jsonl") {
    throw ConfigError(
        fmt::format("output '{}' must end in .npy or .jsonl", printable(path.native(), 4096)));
  }
}

EmbeddingFile::EmbeddingFile(EmbeddingFileOptions options)
    : options_(std::move(options)),
      partial_path_(with_suffix(options_.path, ".partial")),
      journal_path_(with_suffix(options_.path, ".partial.log")) {
  options_.validate();
  if (options_.resume && fs::exists(journal_path_)) {
    read_journal();
  } else {
    start_fresh();
  }
}

EmbeddingFile::~EmbeddingFile() {
  if (committed_ || !done_ids_.empty()) return;
  std::error_code ignored;
  fs::remove(partial_path_, ignored);
  fs::remove(journal_path_, ignored);
}

void EmbeddingFile::start_fresh() {
  partial_ = open_for_writing(partial_path_, false);
  journal_ = open_for_writing(journal_path_, false);
  Json run = options_.fingerprint;
  if (options_.spec) run["spec"] = options_.spec->to_json();
  const std::string line = run.dump(-1, ' ', false, Json::error_handler_t::replace);
  write_or_throw(journal_, line + "\n", journal_path_);
}

void EmbeddingFile::require_same_run(const Json& begun) const {
  const auto refuse = [&](const std::string& why) {
    throw ConfigError(fmt::format("cannot resume {}: {}; remove {} to begin anew",
                                  options_.path.native(), why, journal_path_.native()));
  };
  if (options_.spec) {
    if (!begun.contains("spec")) refuse("it was begun by an earlier version");
    const auto other =
        difference(EmbeddingSpec::from_json(begun["spec"]), *options_.spec, SpecScope::kWhole);
    if (other) refuse("it was begun with " + *other);
  }
  for (const auto& [key, value] : options_.fingerprint.items()) {
    if (begun.contains(key) && begun[key] == value) continue;
    refuse(fmt::format("'{}' was {}, now {}", key,
                       begun.contains(key) ? begun[key].dump() : "absent", value.dump()));
  }
}

void EmbeddingFile::read_journal() {
  const std::string journal = read_file(journal_path_);
  std::error_code missing;
  const uint64_t partial_size = fs::file_size(partial_path_, missing);
  size_t at = 0;
  uint64_t valid_bytes = 0;
  bool first = true;
  // A line without an end, or of bytes that never arrived, was being written when the run ended.
  for (size_t end; (end = journal.find('\n', at)) != std::string::npos; at = end + 1) {
    const Json entry =
        parse_json(std::string_view(journal).substr(at, end - at), journal_path_.native());
    if (first) {
      require_same_run(entry);
      first = false;
      valid_bytes = end + 1;
      continue;
    }
    const auto id = require_field<std::string>(entry, "id");
    if (entry.contains("skipped")) {
      ++num_skipped_;
    } else {
      const auto bytes = require_field<uint64_t>(entry, "bytes");
      if (missing || bytes > partial_size) break;
      partial_bytes_ = bytes;
      ids_.push_back(id);
    }
    done_ids_.push_back(id);
    valid_bytes = end + 1;
  }
  if (first) return start_fresh();
  fs::resize_file(partial_path_, partial_bytes_);
  fs::resize_file(journal_path_, valid_bytes);
  partial_ = open_for_writing(partial_path_, true);
  journal_ = open_for_writing(journal_path_, true);
}

void EmbeddingFile::note(const Json& entry) {
  const std::string line = entry.dump(-1, ' ', false, Json::error_handler_t::replace);
  write_or_throw(journal_, line + "\n", journal_path_);
  done_ids_.push_back(entry["id"]);
}

void EmbeddingFile::add(const std::string& id, std::span<const float> vector) {
  E5V_ASSERT(static_cast<int64_t>(vector.size()) == options_.dimensions);
  std::vector<std::byte> encoded;
  std::string line;
  std::string_view bytes;
  if (is_npy()) {
    append_encoded(vector, options_.encoding, encoded);
    bytes = as_text(encoded);
  } else {
    line = json_line(id, vector, options_.encoding) + "\n";
    bytes = line;
  }
  write_or_throw(partial_, bytes, partial_path_);
  partial_bytes_ += bytes.size();
  ids_.push_back(id);
  note({{"id", id}, {"bytes", partial_bytes_}});
}

void EmbeddingFile::skip(const std::string& id, std::string_view reason) {
  note({{"id", id}, {"skipped", reason}});
  ++num_skipped_;
}

void EmbeddingFile::write_ids() const {
  fs::path path = options_.path;
  path.replace_extension(".ids.txt");
  AtomicFile file(path);
  for (const std::string& id : ids_) file.write(id + "\n");
  file.commit();
}

void EmbeddingFile::commit() {
  partial_.close();
  journal_.close();
  if (is_npy()) {
    const int64_t row = encoded_size(options_.encoding, options_.dimensions);
    NpyWriter array(options_.path, encoding_type(options_.encoding), {row});
    const MappedFile rows(partial_path_);
    array.append(rows.bytes());
    write_ids();
    array.commit();
    fs::remove(partial_path_);
  } else {
    fs::rename(partial_path_, options_.path);
  }
  fs::remove(journal_path_);
  committed_ = true;
}

std::string EmbeddingFile::json_line(const std::string& id, std::span<const float> vector,
                                     Encoding encoding) {
  std::vector<std::byte> encoded;
  if (encoding != Encoding::kFloat32) append_encoded(vector, encoding, encoded);
  std::vector<std::string> values;
  switch (encoding) {
    case Encoding::kFloat32:
      for (const float value : vector) values.push_back(fmt::format("{}", value));
      break;
    case Encoding::kFloat16:
      for (size_t i = 0; i < vector.size(); ++i) {
        uint16_t half;
        std::memcpy(&half, &encoded[2 * i], sizeof(half));
        values.push_back(fmt::format("{}", float16_to_float32(half)));
      }
      break;
    case Encoding::kInt8:
      for (const std::byte value : encoded) {
        values.push_back(fmt::format("{}", static_cast<int8_t>(value)));
      }
      break;
    case Encoding::kBinary:
      for (const std::byte value : encoded) {
        values.push_back(fmt::format("{}", static_cast<unsigned>(value)));
      }
      break;
  }
  return fmt::format(R"({{"id":{},"embedding":[{}]}})",
                     Json(id).dump(-1, ' ', false, Json::error_handler_t::replace),
                     fmt::join(values, ","));
}

}  // namespace e5v::detail
