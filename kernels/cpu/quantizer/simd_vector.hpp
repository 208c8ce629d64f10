#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/api/half_types.hpp"

#if defined(__AVX512F__) || defined(__F16C__)
#include <immintrin.h>
#endif

// Sixteen floats as one value. The arithmetic is GCC's vector extension, which every target has;
// only what the extension lacks is written per instruction set. The including file is compiled once
// per instruction set, hence the internal linkage.
namespace shardquant::kernels {
namespace {

constexpr int kLanes = 16;

typedef float FloatVec __attribute__((vector_size(64)));
typedef std::int32_t IntVec __attribute__((vector_size(64)));

inline FloatVec load(const float* p) {
  FloatVec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void store(float* p, FloatVec v) {
  std::memcpy(p, &v, sizeof v);
}

inline FloatVec broadcast(float x) {
  return FloatVec{} + x;
}

inline FloatVec vec_min(FloatVec a, FloatVec b) {
  return a < b ? a : b;
}
inline FloatVec vec_max(FloatVec a, FloatVec b) {
  return a > b ? a : b;
}

/// v, rounded as it stands: not fused into a following addition.
inline FloatVec keep_rounded(FloatVec v) {
#if defined(__GNUC__) && !defined(__clang__)
  return __builtin_assoc_barrier(v);
#else
  return v;  // contracts nothing across statements
#endif
}

/// The nearest bfloat16, ties to even, of numbers that are not NaN.
inline FloatVec vec_round_to_bfloat(FloatVec v) {
  const IntVec bits = (IntVec)v;
  return (FloatVec)((bits + 0x7fff + ((bits >> 16) & 1)) & ~0xffff);
}

inline double sum_lanes(FloatVec v) {
  double sum = 0.0;
  for (int i = 0; i < kLanes; ++i) sum += static_cast<double>(v[i]);
  return sum;
}

#if defined(__AVX512F__)

inline FloatVec vec_abs(FloatVec v) {
  return (FloatVec)_mm512_abs_ps((__m512)v);
}

/// max(|v|, |tiny|) without sign, in one instruction.
inline FloatVec abs_at_least(FloatVec v, FloatVec tiny) {
  return (FloatVec)_mm512_range_ps((__m512)v, (__m512)tiny, 0x0b);
}

/// 1/sqrt(v) to 2^-14; callers refine it.
inline FloatVec rsqrt_estimate(FloatVec v) {
  return (FloatVec)_mm512_rsqrt14_ps((__m512)v);
}

/// table[index] per lane, table of sixteen.
inline FloatVec lookup(const float* table, IntVec index) {
  return (FloatVec)_mm512_permutexvar_ps((__m512i)index, _mm512_loadu_ps(table));
}

inline FloatVec vec_round_to_half(FloatVec v) {
  return (FloatVec)_mm512_cvtph_ps(
      _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

#else

inline FloatVec vec_abs(FloatVec v) {
  return (FloatVec)((IntVec)v & 0x7fffffff);
}

inline FloatVec abs_at_least(FloatVec v, FloatVec tiny) {
  return vec_max(vec_abs(v), tiny);
}

inline FloatVec rsqrt_estimate(FloatVec v) {
  // The well known integer estimate, with two of the three Newton steps that bring it to 2^-23.
  FloatVec y = (FloatVec)(0x5f375a86 - ((IntVec)v >> 1));
  y = y * (1.5f - 0.5f * v * y * y);
  return y * (1.5f - 0.5f * v * y * y);
}

inline FloatVec lookup(const float* table, IntVec index) {
  FloatVec v;
  for (int i = 0; i < kLanes; ++i) v[i] = table[index[i]];
  return v;
}

inline FloatVec vec_round_to_half(FloatVec v) {
  float lanes[kLanes];
  store(lanes, v);
#if defined(__F16C__)
  for (int i = 0; i < kLanes; i += 8) {
    _mm256_storeu_ps(lanes + i, _mm256_cvtph_ps(_mm256_cvtps_ph(_mm256_loadu_ps(lanes + i), 0)));
  }
#else
  for (float& lane : lanes) lane = round_to_half(lane);
#endif
  return load(lanes);
}

#endif

}  // namespace
}  // namespace shardquant::kernels
