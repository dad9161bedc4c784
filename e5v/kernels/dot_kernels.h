// The functions of dot.h on one thread, as each instruction set has them.
#pragma once

#include <cstdint>

namespace e5v::detail {

struct DotKernels {
  void (*float32)(const float* rows, const float* query, int64_t num_rows, int64_t size,
                  float* out);
  void (*int8)(const int8_t* rows, const float* query, int64_t num_rows, int64_t size, float* out);
};

extern const DotKernels kGenericDot;
extern const DotKernels kAvx2Dot;
extern const DotKernels kAvx512Dot;

}  // namespace e5v::detail
