#include "e5v/text/added_tokens.h"

#include <algorithm>

#include "e5v/base/utf8.h"
#include "e5v/text/unicode.h"

namespace e5v::detail {
namespace {

/// The start of the character that ends at `end` > 0.
size_t previous_character(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80) --at;
  return at;
}

bool touches_word(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 &&
          is_word_character(next_utf8(text, previous_character(text, begin)).code_point)) ||
         (end < text.size() && is_word_character(next_utf8(text, end).code_point));
}

size_t skip_space_left(std::string_view text, size_t begin, size_t least) {
  while (begin > least) {
    const size_t before = previous_character(text, begin);
    if (!is_white_space(next_utf8(text, before).code_point)) break;
    begin = before;
  }
  return begin;
}

size_t skip_space_right(std::string_view text, size_t end) {
  while (end < text.size()) {
    const Utf8Char c = next_utf8(text, end);
    if (!is_white_space(c.code_point)) break;
    end += c.size;
  }
  return end;
}

bool byte_less(const std::pair<uint8_t, uint32_t>& child, uint8_t byte) {
  return child.first < byte;
}

}  // namespace

void AddedTokenMatcher::add(std::string_view form, const AddedToken* token) {
  if (form.empty()) return;
  begins_token_[static_cast<uint8_t>(form[0])] = true;
  uint32_t node = 0;
  for (const char c : form) {
    const auto byte = static_cast<uint8_t>(c);
    auto& children = nodes_[node].children;
    auto found = std::lower_bound(children.begin(), children.end(), byte, byte_less);
    if (found == children.end() || found->first != byte) {
      const auto added = static_cast<uint32_t>(nodes_.size());
      children.insert(found, {byte, added});
      nodes_.emplace_back();  // after the insertion: it invalidates `children`
      node = added;
    } else {
      node = found->second;
    }
  }
  if (nodes_[node].token == nullptr) nodes_[node].token = token;
}

const uint32_t* AddedTokenMatcher::child(uint32_t node, char c) const {
  const auto byte = static_cast<uint8_t>(c);
  const auto& children = nodes_[node].children;
  const auto found = std::lower_bound(children.begin(), children.end(), byte, byte_less);
  return found == children.end() || found->first != byte ? nullptr : &found->second;
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::longest_at(const MarkedText& text,
                                                                      size_t at) const {
  std::optional<Match> longest;
  uint32_t node = 0;
  for (size_t end = at; end < text.text.size();) {
    const uint32_t* next = child(node, text.text[end]);
    if (next == nullptr) break;
    node = *next;
    ++end;
    const AddedToken* token = nodes_[node].token;
    if (token != nullptr && (!token->control || text.common_mark(at, end) != 0)) {
      longest = Match{token, end};
    }
  }
  return longest;
}

std::vector<AddedTokenMatcher::Part> AddedTokenMatcher::split(const MarkedText& text) const {
  std::vector<Part> parts;
  size_t done = 0;
  size_t space_end = 0;  // where the white space that was last taken along ends
  for (size_t at = 0; at < text.text.size();) {
    const bool candidate = begins_token_[static_cast<uint8_t>(text.text[at])];
    const auto match = candidate ? longest_at(text, at) : std::nullopt;
    if (!match) {
      ++at;
      continue;
    }
    TextRange range{at, match->end};
    at = match->end;  // not range.end: the white space taken along may begin another token
    if (match->token->single_word && touches_word(text.text, range.begin, range.end)) continue;
    if (match->token->lstrip) range.begin = skip_space_left(text.text, range.begin, done);
    if (match->token->rstrip) {
      // Looked for once a run, or tokens made of white space would make this quadratic.
      if (space_end <= range.end) space_end = skip_space_right(text.text, range.end);
      range.end = space_end;
    }
    range.begin = std::max(range.begin, done);
    range.end = std::max(range.begin, range.end);
    if (done < range.begin) parts.push_back({{done, range.begin}, nullptr});
    parts.push_back({range, match->token});
    done = range.end;
  }
  if (done < text.text.size()) parts.push_back({{done, text.text.size()}, nullptr});
  return parts;
}

}  // namespace e5v::detail
