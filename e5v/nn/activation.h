#pragma once

#include <string>

#include "e5v/nn/tensor_fwd.h"

namespace e5v::detail {

/// `hidden_act` of a config.json.
enum class Activation {
  kGelu,       ///< x Φ(x), the erf form
  kGeluTanh,   ///< "gelu_pytorch_tanh", "gelu_new"
  kQuickGelu,  ///< x σ(1.702 x), CLIP's
  kSilu,       ///< x σ(x)
  kRelu,
};

/// The activation that transformers calls `name`. Throws ConfigError naming the known ones.
Activation activation_from_name(const std::string& name);

/// Element by element; x any shape and floating dtype.
at::Tensor activate(const at::Tensor& x, Activation activation);

}  // namespace e5v::detail
