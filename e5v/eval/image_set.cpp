#include "e5v/eval/image_set.h"

#include <fmt/ranges.h>

#include <unordered_set>

#include "e5v/base/error.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;

/// All of a list, or its beginning and how many more there are: a message of 5,000 paths helps
/// nobody.
std::string listed(const std::vector<std::string>& lines) {
  constexpr size_t kMaxLines = 10;
  const size_t shown = std::min(kMaxLines, lines.size());
  std::string text = fmt::format(
      "{}", fmt::join(lines.begin(), lines.begin() + static_cast<int64_t>(shown), ", "));
  if (shown < lines.size()) text += fmt::format(", and {} more", lines.size() - shown);
  return text;
}

void stop_or_note(const std::vector<std::string>& lines, OnMissing on_missing,
                  const std::string& what, std::vector<std::string>& skipped) {
  if (lines.empty()) return;
  if (on_missing == OnMissing::kStop) {
    throw InputError(fmt::format("{} {}: {}; --on-error skip evaluates the rest", lines.size(),
                                 what, listed(lines)));
  }
  skipped.insert(skipped.end(), lines.begin(), lines.end());
}

}  // namespace

fs::path find_data_file(const fs::path& folder, std::span<const std::string> names,
                        const std::string& what) {
  std::error_code ignored;
  for (const std::string& name : names) {
    if (fs::is_regular_file(folder / name, ignored)) return folder / name;
  }
  throw FileError(folder.native(), "cannot find " + what,
                  fmt::format("looked for {}", fmt::join(names, ", ")));
}

fs::path find_picture(std::span<const fs::path> roots, std::span<const std::string> names) {
  std::error_code ignored;
  for (const fs::path& root : roots) {
    for (const std::string& name : names) {
      if (fs::is_regular_file(root / name, ignored)) return root / name;
    }
  }
  return {};
}

std::vector<bool> check_images(std::span<const EvalImage> images, OnMissing on_missing,
                               std::vector<std::string>& skipped) {
  std::vector<bool> present;
  std::vector<std::string> missing;
  std::error_code ignored;
  for (const EvalImage& image : images) {
    const bool drawn = image.path.empty() && !image.drawn_text.empty();
    present.push_back(drawn || fs::is_regular_file(image.path, ignored));
    if (!present.back()) missing.push_back(image.path.empty() ? image.id : image.path.string());
  }
  stop_or_note(missing, on_missing, "pictures are missing", skipped);
  return present;
}

std::vector<bool> check_embedded(const Embedded& embedded, OnMissing on_missing,
                                 const std::function<std::string(size_t)>& name,
                                 std::vector<std::string>& skipped) {
  std::vector<bool> good(static_cast<size_t>(embedded.vectors.size()), true);
  std::vector<std::string> lines;
  for (const auto& [index, why] : embedded.failed) {
    good[index] = false;
    lines.push_back(fmt::format("{} ({})", name(index), why));
  }
  stop_or_note(lines, on_missing, "items cannot be embedded", skipped);
  return good;
}

void check_unique(std::span<const std::string> ids, const std::string& where) {
  std::unordered_set<std::string_view> seen;
  for (const std::string& id : ids) {
    if (!seen.insert(id).second) {
      throw FormatError(where, fmt::format("has '{}' twice, expected each once", printable(id)));
    }
  }
}

Vectors select(const Vectors& vectors, const std::vector<bool>& kept) {
  Vectors selected;
  selected.dimensions = vectors.dimensions;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i]) selected.append(vectors[static_cast<int64_t>(i)]);
  }
  return selected;
}

}  // namespace e5v
