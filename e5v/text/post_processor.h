#pragma once

#include <cstdint>
#include <vector>

#include "e5v/text/config_node.h"

namespace e5v::detail {

/// What the `post_processor` of a tokenizer.json puts around the ids of a single text.
struct SpecialTokensAround {
  std::vector<int64_t> before;
  std::vector<int64_t> after;
};

/// Reads TemplateProcessing, RobertaProcessing, BertProcessing, ByteLevel (adds nothing) and
/// Sequence; null adds nothing. Throws FormatError for any other type.
SpecialTokensAround read_post_processor(const ConfigNode& config);

}  // namespace e5v::detail
