#pragma once

#include <string>

#include "e5v/base/progress.h"
#include "e5v/index/collection.h"

namespace e5v::detail {

/// Writes a collection's items, in the order of their ids, to `to`.npy (float32 [N, D]) and
/// `to`.jsonl, an object a line: {"id", "kind", "path", "text", "caption", "metadata", "size",
/// "mtime", "sha256"}. Returns their number. Throws FileError.
int64_t export_collection(Collection& collection, const std::string& to,
                          const ProgressCallback& on_progress = nullptr);

/// An item as one line of JSON.
Json item_json(const CollectionItem& item);

/// `to` as it may be shown: a password in it is left out.
std::string shown_target(const std::string& to);

}  // namespace e5v::detail
