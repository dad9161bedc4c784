#include "e5v/kernels/four_bits_vector.h"

namespace e5v::detail {

const FourBitKernels kAvx512FourBits = {round_groups, unpack_groups, widen_blocks};

}  // namespace e5v::detail
