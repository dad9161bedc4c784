#include "e5v/text/unicode.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

bool in_categories(char32_t c, uint32_t mask) {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & mask) != 0;
}

}  // namespace

bool is_white_space(char32_t c) { return u_isUWhiteSpace(static_cast<UChar32>(c)); }

bool is_word_character(char32_t c) {
  return u_isUAlphabetic(static_cast<UChar32>(c)) ||
         in_categories(c, U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK) ||
         u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_JOIN_CONTROL);
}

bool is_punctuation(char32_t c) {
  const bool ascii_symbol = c < 0x80 && in_categories(c, U_GC_S_MASK);
  return ascii_symbol || in_categories(c, U_GC_P_MASK);
}

bool is_numeric(char32_t c) { return in_categories(c, U_GC_N_MASK); }

bool is_mark(char32_t c) { return in_categories(c, U_GC_M_MASK); }

std::string to_nfc(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* const nfc = icu::Normalizer2::getNFCInstance(status);
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  const icu::UnicodeString normalized = nfc->normalize(icu::UnicodeString::fromUTF8(piece), status);
  E5V_ASSERT(U_SUCCESS(status));
  std::string result;
  normalized.toUTF8String(result);
  return result;
}

}  // namespace e5v::detail
