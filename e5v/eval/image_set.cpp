#include "e5v/eval/image_set.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_set>

#include "e5v/base/error.h"
#include "e5v/text/unicode.h"

namespace e5v::detail {
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

fs::path PictureFinder::find(std::span<const std::string> names) {
  std::error_code ignored;
  for (const fs::path& root : roots_) {
    for (const std::string& name : names) {
      if (fs::is_regular_file(root / name, ignored)) return root / name;
    }
  }
  for (const fs::path& root : roots_) {
    for (std::string name : names) {
      std::replace(name.begin(), name.end(), '\\', '/');
      if (fs::path found = find_composed(root / name); !found.empty()) return found;
    }
  }
  return roots_.front() / names.front();
}

fs::path PictureFinder::find_composed(const fs::path& path) {
  const fs::path folder = path.parent_path();
  const auto [known, is_new] = names_.try_emplace(folder);
  if (is_new) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      if (!entry.is_regular_file(ignored)) continue;
      const std::string name = entry.path().filename();
      known->second.emplace(to_nfc(name), name);
    }
  }
  const auto found = known->second.find(to_nfc(path.filename().native()));
  return found == known->second.end() ? fs::path() : folder / found->second;
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
  if (!missing.empty() && missing.size() == images.size()) {
    throw InputError(
        fmt::format("none of the {} pictures is there: {}; --images names their folder",
                    missing.size(), listed(missing)));
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

}  // namespace e5v::detail
