#pragma once

#include <string_view>

#include "e5v/base/json.h"
#include "e5v/server/request_reader.h"
#include "e5v/server/wire_types.h"

namespace e5v::detail {

/// Reads what may be said about vectors beside what is to be embedded, under the name of any of the
/// services whose shapes are taken: prompt, dimensions, encoding, truncation. Fields of theirs that
/// would change vectors, and that this server knows nothing of, are refused; others do not matter.
/// `truncate` where the request does not say. Throws InputError that names the field.
void parse_options(const RequestReader& reader, bool truncate, EmbeddingRequest& request);

/// The JSON schemas of those fields that all shapes have, by name.
const Json& common_option_schemas();

std::string_view encoding_name(WireEncoding encoding);

}  // namespace e5v::detail
