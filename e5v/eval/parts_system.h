#pragma once

#include <memory>
#include <string_view>

#include "e5v/eval/system.h"

namespace e5v::detail {

/// How a query is made of a picture and a text.
enum class Composition {
  kWhole,       ///< by the system itself: e5v's prompt, CLIP's sum
  kSum,         ///< the sum of both vectors
  kImage,       ///< the picture's alone
  kText,        ///< the text's alone
  kPseudoWord,  ///< SEARLE's
};
std::string_view composition_name(Composition composition);

/// `whole`, with queries made of its vectors of pictures and texts: the baselines that composed
/// retrieval has to beat. Throws InputError for a composition other than kSum, kImage or kText.
std::unique_ptr<System> make_parts_system(std::unique_ptr<System> whole, Composition composition);

}  // namespace e5v::detail
