#pragma once

#include <cstdint>

namespace e5v::detail {

/// A bijection of 64 bits that leaves no trace of order: SplitMix64's step and finaliser.
inline uint64_t mix64(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

/// Steele, Lea & Flood 2014: small, fast, the same on every machine.
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    const uint64_t value = mix64(state_);
    state_ += 0x9e3779b97f4a7c15;
    return value;
  }

  /// Uniform in [0, bound), `bound` > 0, without bias.
  uint64_t below(uint64_t bound) {
    const uint64_t too_many = -bound % bound;  // 2^64 mod bound
    uint64_t value = next();
    while (value < too_many) value = next();
    return value % bound;
  }

 private:
  uint64_t state_;
};

}  // namespace e5v::detail
