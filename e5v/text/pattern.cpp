#include "e5v/text/pattern.h"

namespace e5v::detail {

Pattern Pattern::from_config(const ConfigNode& config) {
  if (config.has("String")) return Pattern(config.string("String"));
  const std::string regex = config.string("Regex");
  try {
    return Pattern(Regex(regex));
  } catch (const ConfigError& error) {
    config.at("Regex").fail(error.what());
  }
}

void Pattern::find_all(std::string_view text, std::vector<TextRange>& matches) const {
  if (const auto* regex = std::get_if<Regex>(&pattern_)) return regex->find_all(text, matches);
  const auto& literal = std::get<std::string>(pattern_);
  matches.clear();
  if (literal.empty()) return;
  for (size_t at = text.find(literal); at != std::string_view::npos;
       at = text.find(literal, at + literal.size())) {
    matches.push_back({at, at + literal.size()});
  }
}

}  // namespace e5v::detail
