#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace e5v::detail {

/// A thing that pictures may show, and phrases in which a `$` stands for it.
struct Concept {
  std::string name;
  std::vector<std::string> phrases;  ///< at least one
};

/// Reads concepts, a line each: `name`, or `name<TAB>phrase<TAB>phrase…` with a `$` in each phrase,
/// e.g. a language model's. Without phrases: general_phrases. Empty lines are skipped. Throws
/// FileError; FormatError naming the line, or where there is none.
std::vector<Concept> read_concepts(const std::filesystem::path& path);

/// The concepts where none are given: everyday things, with general_phrases.
std::vector<Concept> everyday_concepts();

/// Phrases that fit anything.
const std::vector<std::string>& general_phrases();

/// `phrase` with `name` for its first `$`.
std::string fill_phrase(std::string_view phrase, std::string_view name);

}  // namespace e5v::detail
