#pragma once

#include <cstdint>
#include <string_view>

namespace shardquant::tests {

/// Random numbers of a name: SplitMix64 (Steele, Lea, Flood 2014) begun at the 64-bit FNV-1a hash
/// of the name, whose basis is changed by the seed. The same on every machine;
/// scripts/seeded_weights.py draws the same numbers.
class SeededStream {
 public:
  SeededStream(std::uint64_t seed, std::string_view name)
      : state_(0xcbf29ce484222325u ^ seed * kStep) {
    for (const char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }

  std::uint64_t next() {
    state_ += kStep;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// The upper 24 bits, even in [-1, 1): exact in float.
  double next_even() { return static_cast<double>(next() >> 40) * 0x1p-23 - 1.0; }

 private:
  static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15u;
  std::uint64_t state_;
};

}  // namespace shardquant::tests
