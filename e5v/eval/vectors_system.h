#pragma once

#include <filesystem>
#include <memory>

#include "e5v/eval/system.h"

namespace e5v::detail {

/// Vectors of any other program, as .npy files of float32 or float16 [N, D] in the data set's order
/// of texts, pictures and queries. An empty path is an error once a protocol asks for these.
struct VectorFiles {
  std::filesystem::path texts, images, queries;
};
std::unique_ptr<System> make_vectors_system(const VectorFiles& files);

}  // namespace e5v::detail
