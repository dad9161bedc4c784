#include "e5v/kernels/four_bits.h"

#include "e5v/kernels/four_bits_kernels.h"
#include "e5v/kernels/isa.h"

namespace e5v::detail {
namespace {

const FourBitKernels& kernels() {
#if defined(E5V_KERNELS_X86)
  if (isa_level() >= IsaLevel::kAvx512) return kAvx512FourBits;
  if (isa_level() >= IsaLevel::kAvx2) return kAvx2FourBits;
#endif
  return kGenericFourBits;
}

}  // namespace

void round_to_int4(const float* x, int64_t num_groups, float scale, uint8_t* codes,
                   uint8_t* multipliers) {
  kernels().round_to_int4(x, num_groups, scale, codes, multipliers);
}

void unpack_int4(const uint8_t* codes, const uint8_t* multipliers, int64_t num_groups,
                 int8_t* out) {
  kernels().unpack_int4(codes, multipliers, num_groups, out);
}

void widen_nf4(const uint8_t* codes, const float* scales, const float* values, int64_t num_blocks,
               BFloat16* out) {
  kernels().widen_nf4(codes, scales, values, num_blocks, out);
}

}  // namespace e5v::detail
