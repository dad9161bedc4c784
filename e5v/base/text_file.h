#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "e5v/base/file.h"

namespace e5v::detail {

/// A text file as UTF-8 with LF line ends, in whichever of the common forms it was saved: with or
/// without a byte order mark, UTF-16 where a mark says so (Excel's "Unicode text", PowerShell's
/// redirection), lines that end in LF, CRLF or CR alone. Throws FileError, also where it is longer
/// than `max_bytes`, and FormatError as decode_text.
std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes = UINT64_C(1)
                                                                                   << 32);

/// The same for a file's bytes; `source` names it in errors. Throws FormatError naming the line for
/// UTF-16 that is cut off or has lone surrogates, for bytes that are not UTF-8, and for a NUL.
std::string decode_text(std::string_view bytes, std::string_view source);

/// A large text file, mapped: as read_text_file, but that CRLF stays where it is, CR ends lines
/// only where no LF does, and UTF-8 is not checked.
/// Movable; thread-safe once made.
class MappedText {
 public:
  /// Throws FileError; FormatError where UTF-16 is broken.
  explicit MappedText(const std::filesystem::path& path);

  std::string_view text() const;
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  MappedFile file_;
  size_t mark_bytes_ = 0;  // of the byte order mark
  std::optional<std::string> converted_;
};

}  // namespace e5v::detail
