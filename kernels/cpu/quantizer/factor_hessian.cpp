#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "kernels/api/hessian_damping.hpp"
#include "kernels/cpu/quantizer/quantizer_kernels.hpp"

// LAPACK, column major: Cholesky factor of the triangle named by uplo, in place.
extern "C" {
void spotrf_(const char* uplo, const int* n, float* a, const int* lda, int* info);
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
}

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

// The upper triangle of `h` without its diagonal, with `diagonal` in its place, times x in fp64.
std::vector<double> symmetric_product(ConstMatrixView h, std::span<const float> diagonal,
                                      std::span<const double> x) {
  std::vector<double> product(x.size());
  for (std::int64_t i = 0; i < h.rows; ++i) {
    const float* row = h.row(i);
    double sum = static_cast<double>(diagonal[i]) * x[i];
    for (std::int64_t j = i + 1; j < h.cols; ++j) {
      sum += static_cast<double>(row[j]) * x[j];
      product[j] += static_cast<double>(row[j]) * x[i];
    }
    product[i] += sum;
  }
  return product;
}

// L L^T x in fp64, L the lower triangle.
std::vector<double> factor_product(ConstMatrixView lower, std::span<const double> x) {
  std::vector<double> inner(x.size());
  for (std::int64_t i = 0; i < lower.rows; ++i) {
    const float* row = lower.row(i);
    for (std::int64_t j = 0; j <= i; ++j) inner[j] += static_cast<double>(row[j]) * x[i];
  }
  std::vector<double> product(x.size());
  for (std::int64_t i = 0; i < lower.rows; ++i) {
    const float* row = lower.row(i);
    for (std::int64_t j = 0; j <= i; ++j) product[i] += static_cast<double>(row[j]) * inner[j];
  }
  return product;
}

// Whether the lower triangle of `h` is a factor of the matrix in its upper triangle.
bool factor_fits(ConstMatrixView h, std::span<const float> damped) {
  const std::vector<double> probe = probe_signs(h.rows);
  return products_agree(symmetric_product(h, damped, probe), factor_product(h, probe));
}

bool factor_in_float(MatrixView h) {
  const int size = static_cast<int>(h.rows);
  const int stride = static_cast<int>(h.stride);
  int info = 0;
  spotrf_("U", &size, h.data, &stride, &info);  // row major lower = column major upper
  return info == 0;
}

bool factor_in_double(MatrixView h) {
  const int size = static_cast<int>(h.rows);
  const auto wide = std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(h.size()));
  for (std::int64_t i = 0; i < h.rows; ++i) std::copy_n(h.row(i), h.cols, &wide[i * h.cols]);
  int info = 0;
  dpotrf_("U", &size, wide.get(), &size, &info);
  if (info != 0) return false;
  for (std::int64_t i = 0; i < h.rows; ++i) {
    std::transform(&wide[i * h.cols], &wide[i * h.cols] + i + 1, h.row(i),
                   [](double value) { return static_cast<float>(value); });
  }
  return true;
}

std::vector<float> diagonal_of(ConstMatrixView h) {
  std::vector<float> diagonal(h.rows);
  for (std::int64_t i = 0; i < h.rows; ++i) diagonal[i] = h.row(i)[i];
  return diagonal;
}

void require_finite(ConstMatrixView h) {
  std::int64_t bad = 0;
  std::int64_t first = 0;
  for (std::int64_t i = 0; i < h.rows; ++i) {
    for (std::int64_t j = i; j < h.cols; ++j) {
      if (std::isfinite(h.row(i)[j]) || bad++ > 0) continue;
      first = i * h.cols + j;
    }
  }
  if (bad > 0) refuse_nonfinite_hessian(bad, first, h.cols);
}

// Tries to leave the lower Cholesky factor of the damped matrix below the diagonal; the upper
// triangle stays as it is, for the next try and for comparison. diagonal: undamped, of `h`.
bool try_damping(MatrixView h, const std::vector<float>& diagonal, double damp,
                 FactorMethod method) {
  std::vector<float> damped(diagonal);
  for (float& value : damped) value += static_cast<float>(damp);
  mirror_to_lower(h, damped);
  const bool done = method == FactorMethod::fp64 ? factor_in_double(h) : factor_in_float(h);
  return done && factor_fits(h, damped);
}

void set_identity(MatrixView h, HessianFactor& factor) {
  for (std::int64_t i = 0; i < h.rows; ++i) {
    std::fill_n(h.row(i), h.cols, 0.0f);
    h.row(i)[i] = 1.0f;
  }
  factor.pivots.assign(h.rows, 1.0f);
}

// R of H = R R^T is the lower Cholesky factor of the reversed matrix, reversed. Permuting into
// reversed order makes the first reversal free; the second is a reversal of the flat array.
void factor_reversed(MatrixView h, double step, const QuantizerSettings& settings,
                     HessianFactor& factor) {
  permute_symmetric(h, std::vector<std::int32_t>(factor.perm.rbegin(), factor.perm.rend()));
  std::vector<float> diagonal = diagonal_of(h);
  std::vector<std::int64_t> dead;
  for (std::int64_t i = 0; i < h.rows; ++i) {
    if (diagonal[i] == 0.0f) dead.push_back(h.rows - 1 - i);
  }
  std::replace(diagonal.begin(), diagonal.end(), 0.0f, 1.0f);
  damp_until_factored(step, settings, factor, [&](double damp) {
    return try_damping(h, diagonal, damp, settings.factor_method);
  });

  std::reverse(h.data, h.data + h.rows * h.stride);
  factor.pivots.resize(h.rows);
  for (std::int64_t i = 0; i < h.rows; ++i) factor.pivots[i] = h.row(i)[i];
  for (std::int64_t i = 0; i < h.rows; ++i) {
    float* row = h.row(i);
    row[i] = 1.0f;
    for (std::int64_t j = i + 1; j < h.cols; ++j) row[j] /= factor.pivots[j];
  }
  // The 1 keeps a dead input from spoiling the factor; what is lost there changes no output.
  for (const std::int64_t i : dead) factor.pivots[i] = std::sqrt(static_cast<float>(factor.damp));
}

}  // namespace

HessianFactor factor_hessian(Matrix hessian, const QuantizerSettings& settings) {
  const MatrixView h = hessian;
  require_finite(h);
  const std::vector<float> diagonal = diagonal_of(h);
  HessianFactor factor = order_inputs(diagonal, settings);
  if (settings.factor_method == FactorMethod::identity) {
    factor.tries = settings.damping_tries + 1;
    set_identity(h, factor);
  } else {
    factor_reversed(h, damping_step(diagonal, settings), settings, factor);
  }
  factor.unit_factor = std::move(hessian);
  return factor;
}

}  // namespace shardquant::kernels
