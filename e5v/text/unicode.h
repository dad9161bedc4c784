#pragma once

namespace e5v {

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

}  // namespace e5v
