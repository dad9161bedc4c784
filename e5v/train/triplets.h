#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "e5v/base/delimited.h"
#include "e5v/base/text_file.h"

namespace e5v::detail {

/// What is embedded as one vector: a text, a picture, or both.
struct TripletItem {
  std::string text;
  std::filesystem::path image;  ///< empty: none

  bool operator==(const TripletItem&) const = default;
};

/// One row of training data: an anchor, an item that belongs to it, and any number of items that
/// look as if they did (`sent0`, `sent1`, `hard_neg` of the published data).
struct Triplet {
  TripletItem anchor, positive;
  std::vector<TripletItem> negatives;

  bool operator==(const Triplet&) const = default;
};

/// What happens to a row that cannot be read.
enum class OnBadRow { kStop, kSkip };

/// Training data in a mapped file: CSV (RFC 4180), TSV or JSONL, told by the file's name. Opening
/// it checks every row once and keeps 8 bytes a row; texts are read when asked for.
///
/// Text is UTF-8, or UTF-16 with a byte order mark; lines end in LF, CRLF or, all of them, in CR.
///
/// CSV and TSV: a first row with the names `sent0`/`anchor`, `sent1`/`positive` and any number that
/// begin with `hard_neg` or `negative`, in upper or lower case, says what the columns are, others
/// are not looked at; without such a row columns are anchor, positive, negatives. An empty negative
/// is none. JSONL: an object a line under the same names; `negatives` (or any of its names) is an
/// item or a list of them; an item is a string or {"text": …, "image": path beside the file}.
///
/// Immutable; every method is const and thread-safe.
class TripletFile {
 public:
  /// Called with a message about each row left out.
  using OnSkip = std::function<void(const std::string& message)>;

  /// Throws FileError; FormatError naming line and column of the first bad row (OnBadRow::kStop:
  /// broken quoting, a missing field, an empty anchor or positive, invalid UTF-8), or where no row
  /// is left.
  explicit TripletFile(const std::filesystem::path& path, OnBadRow on_bad_row = OnBadRow::kStop,
                       const OnSkip& on_skip = nullptr);

  uint64_t size() const { return offsets_.size(); }
  uint64_t num_skipped() const { return num_skipped_; }
  /// True if any row has a picture.
  bool has_images() const { return has_images_; }
  /// `index < size()`.
  Triplet row(uint64_t index) const;
  /// Line in the file, from 1, at which the row begins.
  uint64_t line_of(uint64_t index) const;
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  enum class Column { kAnchor, kPositive, kNegative, kOther };
  struct Row {
    Triplet triplet;
    size_t end = 0;
    uint64_t lines = 1;
    std::string problem;  // empty: fine
    uint64_t problem_line = 0, problem_column = 1;
  };

  std::string_view text() const { return file_.text(); }
  void read_header(size_t& at, uint64_t& line);
  Row read_row(size_t begin) const;
  Row read_delimited_row(size_t begin) const;
  Row read_json_row(size_t begin) const;

  MappedText file_;
  bool is_json_ = false;
  DelimitedFormat format_;
  std::vector<Column> columns_;  // empty: by position
  std::vector<uint64_t> offsets_;
  uint64_t num_skipped_ = 0;
  bool has_images_ = false;
};

/// The rows in the order in which an epoch visits them: 0 … size − 1, shuffled by `seed` and
/// `epoch` (Fisher–Yates, SplitMix64: the same on every machine). `size` up to 2^32.
std::vector<uint32_t> epoch_order(uint64_t size, uint64_t seed, uint64_t epoch, bool shuffle);

}  // namespace e5v::detail
