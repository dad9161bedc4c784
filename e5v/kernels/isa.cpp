#include "e5v/kernels/isa.h"

#include <atomic>

#if defined(E5V_KERNELS_AMX)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace e5v::detail {
namespace {

#if defined(E5V_KERNELS_AMX)
/// Linux lends the tile registers only to a process that asks (Documentation/arch/x86/xstate.rst).
bool ask_for_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

/// CPUID leaf 7: EDX bit 22 AMX-BF16, bit 24 AMX-TILE. Compilers of 2022 know no such name in
/// __builtin_cpu_supports.
bool has_amx_bf16() {
  unsigned eax = 7, ebx, ecx = 0, edx;
  __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  constexpr unsigned kTilesAndBf16 = (1u << 22) | (1u << 24);
  return (edx & kTilesAndBf16) == kTilesAndBf16 && ask_for_tiles();
}
#endif

IsaLevel detect() {
  IsaLevel level = IsaLevel::kGeneric;
#if defined(E5V_KERNELS_X86)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return level;
  level = IsaLevel::kAvx2;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
    return level;
  }
  level = IsaLevel::kAvx512;
#if defined(E5V_KERNELS_AVX512_BF16)
  if (!__builtin_cpu_supports("avx512bf16")) return level;
  level = IsaLevel::kAvx512Bf16;
#endif
#if defined(E5V_KERNELS_AMX)
  if (has_amx_bf16()) level = IsaLevel::kAmx;
#endif
#endif
  return level;
}

std::atomic<IsaLevel>& current_level() {
  static std::atomic<IsaLevel> level{highest_isa_level()};
  return level;
}

}  // namespace

const char* to_string(IsaLevel level) {
  switch (level) {
    case IsaLevel::kGeneric:
      return "generic";
    case IsaLevel::kAvx2:
      return "avx2";
    case IsaLevel::kAvx512:
      return "avx512";
    case IsaLevel::kAvx512Bf16:
      return "avx512_bf16";
    case IsaLevel::kAmx:
      return "amx";
  }
  return "unknown";
}

IsaLevel highest_isa_level() {
  static const IsaLevel level = detect();
  return level;
}

std::vector<IsaLevel> available_isa_levels() {
  std::vector<IsaLevel> levels;
  for (int i = 0; i <= static_cast<int>(highest_isa_level()); ++i) {
    levels.push_back(static_cast<IsaLevel>(i));
  }
  return levels;
}

IsaLevel isa_level() { return current_level().load(std::memory_order_relaxed); }

ForcedIsaLevel::ForcedIsaLevel(IsaLevel level) : previous_(isa_level()) {
  current_level() = level < highest_isa_level() ? level : highest_isa_level();
}

ForcedIsaLevel::~ForcedIsaLevel() { current_level() = previous_; }

}  // namespace e5v::detail
