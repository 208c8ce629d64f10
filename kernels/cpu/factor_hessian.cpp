#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "kernels/api/kernel_error.hpp"
#include "kernels/cpu/quantizer_kernels.hpp"

// LAPACK, column major: Cholesky factor of the triangle named by uplo, in place.
extern "C" void spotrf_(const char* uplo, const int* n, float* a, const int* lda, int* info);

namespace shardquant::kernels {

namespace {

// Exchanges rows and columns p < q of a symmetric matrix of which only the upper triangle is kept.
void swap_symmetric(MatrixView h, std::int64_t p, std::int64_t q) {
  for (std::int64_t i = 0; i < p; ++i) std::swap(h.row(i)[p], h.row(i)[q]);
  for (std::int64_t i = p + 1; i < q; ++i) std::swap(h.row(p)[i], h.row(i)[q]);
  for (std::int64_t i = q + 1; i < h.cols; ++i) std::swap(h.row(p)[i], h.row(q)[i]);
  std::swap(h.row(p)[p], h.row(q)[q]);
}

// Brings the symmetric matrix into the order `perm` (place k takes index perm[k]) in place: the
// Hessian is the largest thing a rank holds, a permuted copy would double it.
void permute_symmetric(MatrixView h, std::span<const std::int32_t> perm) {
  const auto size = static_cast<std::int32_t>(perm.size());
  std::vector<std::int32_t> index_at(perm.size());  // original index now in a place
  std::vector<std::int32_t> place_of(perm.size());
  std::iota(index_at.begin(), index_at.end(), 0);
  std::iota(place_of.begin(), place_of.end(), 0);
  for (std::int32_t place = 0; place < size; ++place) {
    const std::int32_t other = place_of[perm[place]];
    if (other == place) continue;
    swap_symmetric(h, place, other);
    std::swap(index_at[place], index_at[other]);
    place_of[index_at[place]] = place;
    place_of[index_at[other]] = other;
  }
}

// Lower triangle = transpose of the upper one, diagonal = the given one.
void mirror_to_lower(MatrixView h, std::span<const float> diagonal) {
  constexpr std::int64_t kTile = 32;
  for (std::int64_t i0 = 0; i0 < h.rows; i0 += kTile) {
    for (std::int64_t j0 = 0; j0 <= i0; j0 += kTile) {
      for (std::int64_t i = i0; i < std::min(i0 + kTile, h.rows); ++i) {
        for (std::int64_t j = j0; j < std::min(j0 + kTile, i); ++j) h.row(i)[j] = h.row(j)[i];
      }
    }
  }
  for (std::int64_t i = 0; i < h.rows; ++i) h.row(i)[i] = diagonal[i];
}

// The factorization must not pass a NaN that it met on the way: LAPACK reports only bad pivots.
bool factor_lower(MatrixView h) {
  const int size = static_cast<int>(h.rows);
  const int stride = static_cast<int>(h.stride);
  int info = 0;
  spotrf_("U", &size, h.data, &stride, &info);  // row major lower = column major upper
  if (info != 0) return false;
  for (std::int64_t i = 0; i < h.rows; ++i) {
    if (!std::isfinite(h.row(i)[i])) return false;
  }
  return true;
}

std::vector<float> diagonal_of(ConstMatrixView h) {
  std::vector<float> diagonal(h.rows);
  for (std::int64_t i = 0; i < h.rows; ++i) {
    diagonal[i] = h.row(i)[i];
    if (!std::isfinite(diagonal[i])) {
      throw NumericalError("Hessian diagonal holds NaN or infinity at index " + std::to_string(i));
    }
  }
  return diagonal;
}

}  // namespace

HessianFactor factor_hessian(Matrix hessian, const QuantizerSettings& settings) {
  const MatrixView h = hessian;
  const std::vector<float> original_diagonal = diagonal_of(h);
  const double mean = std::accumulate(original_diagonal.begin(), original_diagonal.end(), 0.0) /
                      static_cast<double>(h.rows);

  HessianFactor factor;
  factor.dead_inputs = std::count(original_diagonal.begin(), original_diagonal.end(), 0.0f);
  factor.perm.resize(h.rows);
  std::iota(factor.perm.begin(), factor.perm.end(), 0);
  if (settings.sort_inputs) {
    std::stable_sort(factor.perm.begin(), factor.perm.end(), [&](std::int32_t a, std::int32_t b) {
      return original_diagonal[a] > original_diagonal[b];
    });
  }

  // R of H = R R^T is the lower Cholesky factor of the reversed matrix, reversed. Permuting into
  // reversed order makes the first reversal free; the second is a reversal of the flat array.
  permute_symmetric(h, std::vector<std::int32_t>(factor.perm.rbegin(), factor.perm.rend()));
  const std::vector<float> diagonal = diagonal_of(h);

  const double step = std::max(settings.damping * mean, settings.damping_floor);
  for (factor.tries = 1;; ++factor.tries) {
    factor.damp += step;
    std::vector<float> damped(diagonal);
    for (float& value : damped) value += static_cast<float>(factor.damp);
    mirror_to_lower(h, damped);  // the upper triangle stays as it was, for the next try
    if (factor_lower(h)) break;
    if (factor.tries == settings.damping_tries) {
      throw NumericalError("Hessian is not positive definite after adding " +
                           std::to_string(factor.damp) + " to its diagonal in " +
                           std::to_string(factor.tries) + " steps");
    }
  }

  std::reverse(h.data, h.data + h.rows * h.stride);
  factor.pivots.resize(h.rows);
  for (std::int64_t i = 0; i < h.rows; ++i) factor.pivots[i] = h.row(i)[i];
  for (std::int64_t i = 0; i < h.rows; ++i) {
    float* row = h.row(i);
    row[i] = 1.0f;
    for (std::int64_t j = i + 1; j < h.cols; ++j) row[j] /= factor.pivots[j];
  }
  factor.unit_factor = std::move(hessian);
  return factor;
}

}  // namespace shardquant::kernels
