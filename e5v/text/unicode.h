#pragma once

#include <string>
#include <string_view>

namespace e5v::detail {

// Unicode classes as the tokenizers' pattern languages define them. Tables are ICU's: characters
// that a newer Unicode assigned may be classed otherwise by another library.

/// `\s`: the White_Space property.
bool is_white_space(char32_t c);
/// `\w`: Alphabetic, marks, decimal numbers, connector punctuation, join controls.
bool is_word_character(char32_t c);
/// ASCII punctuation and symbols, or any general category P*.
bool is_punctuation(char32_t c);
/// Any general category N*.
bool is_numeric(char32_t c);
/// Any general category M*.
bool is_mark(char32_t c);

/// `text` in Unicode's composed form (NFC): é as one code point, however it was written. Texts that
/// look the same are then mostly the same bytes. Invalid UTF-8 becomes U+FFFD.
std::string to_nfc(std::string_view text);

}  // namespace e5v::detail
