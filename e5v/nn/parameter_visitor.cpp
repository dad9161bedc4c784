#include "e5v/nn/parameter_visitor.h"

#include "e5v/nn/fused_linear.h"

namespace e5v::detail {

void ParameterVisitor::fused(FusedLinear& linears) {
  for (size_t i = 0; i < linears.num_parts(); ++i) {
    linear(full_name(linears.name(i)), linears.part(i));
  }
}

}  // namespace e5v::detail
