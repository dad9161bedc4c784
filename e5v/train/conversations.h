#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "e5v/base/file.h"
#include "e5v/train/triplets.h"

namespace e5v::detail {

/// What is said to a model and what it should answer.
struct ConversationTurn {
  std::string prompt;
  /// One answer; or several words of which each would be right, equally likely, and of which each
  /// is one token. Nothing is learned of what follows them.
  std::vector<std::string> answers;
};

/// Turns about one picture, or about none.
struct Conversation {
  std::filesystem::path image;  ///< empty: none
  std::vector<ConversationTurn> turns;
};

/// Conversations in a mapped file, one JSON object a line, as LLaVA's instruction data has them:
///   {"image": path beside the file, "conversations": [{"from": "human", "value": "<image>\n…"},
///                                                     {"from": "gpt", "value": "…"}, …]}
/// The last answer may be a list of words, each of which would be right.
/// "image" may be absent. As LLaVA does, `<image>` is taken out of the first human turn, whose rest
/// is stripped: the picture always comes first.
///
/// Immutable; every method is const and thread-safe.
class ConversationFile {
 public:
  /// Called with a message about each row left out.
  using OnSkip = std::function<void(const std::string& message)>;

  /// Throws FileError; FormatError naming the line of the first bad row (OnBadRow::kStop: no JSON,
  /// turns that do not alternate from human to gpt, an empty value), or where no row is left.
  explicit ConversationFile(const std::filesystem::path& path,
                            OnBadRow on_bad_row = OnBadRow::kStop, const OnSkip& on_skip = nullptr);

  uint64_t size() const { return rows_.size(); }
  /// True if any row has a picture.
  bool has_images() const { return has_images_; }
  /// `index < size()`.
  Conversation row(uint64_t index) const;
  /// Line in the file, from 1.
  uint64_t line_of(uint64_t index) const { return rows_[index].line; }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  struct Row {
    size_t offset, size;
    uint64_t line;
  };

  MappedFile file_;
  std::vector<Row> rows_;
  bool has_images_ = false;
};

}  // namespace e5v::detail
