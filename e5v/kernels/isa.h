#pragma once

#include <vector>

namespace e5v::detail {

/// How far the hand-written kernels may use this CPU; each level includes those before it.
enum class IsaLevel {
  kGeneric,     ///< plain C++, any CPU: the oracle
  kAvx2,        ///< AVX2 + FMA + F16C
  kAvx512,      ///< AVX-512 F, BW, DQ, VL
  kAvx512Bf16,  ///< + dot products of bf16 pairs
  kAmx,         ///< + tile products of bf16
};

const char* to_string(IsaLevel level);

/// The highest level that this CPU, the operating system and this build support; found once.
IsaLevel highest_isa_level();

/// All levels up to `highest_isa_level()`, for tests.
std::vector<IsaLevel> available_isa_levels();

/// The level that kernels use: `highest_isa_level()` unless a ForcedIsaLevel lives.
IsaLevel isa_level();

/// Lowers the level of the whole process while it lives; for tests and benchmarks.
/// A level above the highest is cut to the highest.
class ForcedIsaLevel {
 public:
  explicit ForcedIsaLevel(IsaLevel level);
  ForcedIsaLevel(const ForcedIsaLevel&) = delete;
  ForcedIsaLevel& operator=(const ForcedIsaLevel&) = delete;
  ~ForcedIsaLevel();

 private:
  IsaLevel previous_;
};

}  // namespace e5v::detail
