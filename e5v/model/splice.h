#pragma once

#include <ATen/ATen.h>

#include "e5v/model/llama.h"

namespace e5v::detail {

/// Rows of the tokens that stand for image features, whose ids are negative: ids [T] int64 -> [R]
/// int64.
at::Tensor feature_rows(const at::Tensor& ids);

/// Token embeddings with image features in their places: [T, D] fp32.
///   ids       [T] int64, on the model's device
///   features  [R, D] fp32, in the order of their places; undefined: there are none
/// Throws InputError if there are more or fewer places than features, or as Llama::embed_tokens.
at::Tensor splice_features(const Llama& language_model, const at::Tensor& ids,
                           const at::Tensor& features);

}  // namespace e5v::detail
