#pragma once

/// Everything that the library offers: one embedding space for texts, pictures, and pictures
/// changed by words. Paths are UTF-8 bytes as std::filesystem has them; every function that is not
/// noexcept throws of the Error family (error.h), or std::bad_alloc.
///
///   e5v::Embedder embedder;
///   const e5v::Embeddings vectors = embedder.embed({{.text = "a dog on grass"}});
///
/// Of versions 0.x a later minor one may change what is here; CHANGELOG.md says so.

#include "e5v/collection.h"
#include "e5v/embedder.h"
#include "e5v/error.h"
#include "e5v/item.h"
#include "e5v/trainer.h"
#include "e5v/version.h"
