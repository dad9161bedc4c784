#pragma once

#include <filesystem>
#include <memory>

#include "e5v/families/llava_next.h"
#include "e5v/families/registry.h"
#include "e5v/model/load_parameters.h"
#include "e5v/model/packed_batch.h"
#include "tests/support/golden.h"

namespace e5v::detail {

/// The batch that the named items of a golden make, in that order, as embed/collate would.
PackedBatch golden_batch(const Golden& golden, const LlavaConfig& config,
                         const std::vector<std::string>& items);

/// A LLaVA's folder loaded as a user's would be.
std::unique_ptr<LlavaNext> load_llava(const std::filesystem::path& folder,
                                      const LoadOptions& options = {});

/// Tiles of one image of a golden, alone.
ImageSpan golden_image(const Golden& golden, const LlavaConfig& config, const std::string& image,
                       int64_t first_tile = 0);

}  // namespace e5v::detail
