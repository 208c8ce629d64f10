#pragma once

// GPTQ (arXiv:2210.17323) with EXL2 groups (ExLlamaV2 2f72437) in double precision, straight from
// the formulas: slow and plain. Two forms of the same algorithm, the published one and the
// left-looking one.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "kernels/api/half_types.hpp"
#include "kernels/api/quantizer_types.hpp"

namespace shardquant::oracle {

/// Dense row-major matrix of doubles.
struct Dense {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::vector<double> values;

  Dense() = default;
  Dense(std::int64_t r, std::int64_t c) : rows(r), cols(c), values(r * c) {}
  double& at(std::int64_t i, std::int64_t j) { return values[i * cols + j]; }
  double at(std::int64_t i, std::int64_t j) const { return values[i * cols + j]; }
};

inline Dense hessian(const Dense& x, double factor) {
  Dense h(x.cols, x.cols);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t i = 0; i < x.cols; ++i) {
      for (std::int64_t j = 0; j < x.cols; ++j) h.at(i, j) += factor * x.at(t, i) * x.at(t, j);
    }
  }
  return h;
}

inline std::vector<std::int32_t> descending_diagonal(const Dense& h) {
  std::vector<std::int32_t> perm(h.rows);
  std::iota(perm.begin(), perm.end(), 0);
  std::stable_sort(perm.begin(), perm.end(),
                   [&](auto a, auto b) { return h.at(a, a) > h.at(b, b); });
  return perm;
}

inline Dense permuted(const Dense& h, const std::vector<std::int32_t>& perm) {
  Dense out(h.rows, h.cols);
  for (std::int64_t i = 0; i < h.rows; ++i) {
    for (std::int64_t j = 0; j < h.cols; ++j) out.at(i, j) = h.at(perm[i], perm[j]);
  }
  return out;
}

/// Lower triangular L with a = L L^T.
inline Dense cholesky(const Dense& a) {
  Dense l(a.rows, a.rows);
  for (std::int64_t j = 0; j < a.rows; ++j) {
    for (std::int64_t i = j; i < a.rows; ++i) {
      double sum = a.at(i, j);
      for (std::int64_t k = 0; k < j; ++k) sum -= l.at(i, k) * l.at(j, k);
      if (i == j && !(sum > 0.0)) throw std::runtime_error("not positive definite");
      l.at(i, j) = i == j ? std::sqrt(sum) : sum / l.at(j, j);
    }
  }
  return l;
}

/// Inverse of a = L L^T from L.
inline Dense inverse_from_cholesky(const Dense& l) {
  const std::int64_t n = l.rows;
  Dense inverse(n, n);
  for (std::int64_t c = 0; c < n; ++c) {
    std::vector<double> y(n);
    for (std::int64_t i = 0; i < n; ++i) {
      double sum = i == c ? 1.0 : 0.0;
      for (std::int64_t k = 0; k < i; ++k) sum -= l.at(i, k) * y[k];
      y[i] = sum / l.at(i, i);
    }
    for (std::int64_t i = n - 1; i >= 0; --i) {
      double sum = y[i];
      for (std::int64_t k = i + 1; k < n; ++k) sum -= l.at(k, i) * inverse.at(k, c);
      inverse.at(i, c) = sum / l.at(i, i);
    }
  }
  return inverse;
}

/// Upper triangular R with a = R R^T: Cholesky of the reversed matrix, reversed.
inline Dense reversed_cholesky(const Dense& a) {
  const std::int64_t n = a.rows;
  Dense flipped(n, n);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) flipped.at(i, j) = a.at(n - 1 - i, n - 1 - j);
  }
  const Dense l = cholesky(flipped);
  Dense r(n, n);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) r.at(i, j) = l.at(n - 1 - i, n - 1 - j);
  }
  return r;
}

/// The scales of one group, found on the rows the search is given.
struct GroupParameters {
  std::vector<int> codes;              ///< c - 1 per column
  double smax = 0.0;                   ///< after shrinking
  int best = 0;                        ///< index of the shrink factor
  std::vector<double> quotient_scale;  ///< per column
  std::vector<double> value_scale;     ///< per column
};

inline void column_scales(GroupParameters& group, double smax, kernels::ScaleRounding rounding) {
  using kernels::round_to_half;
  const float unit = round_to_half(round_to_half(static_cast<float>(smax)) / 256.0f);
  for (std::size_t n = 0; n < group.codes.size(); ++n) {
    const double c = group.codes[n] + 1;
    if (rounding == kernels::ScaleRounding::reader) {
      const double scale = round_to_half(static_cast<float>(c * c) * unit);
      group.quotient_scale[n] = group.value_scale[n] = scale;
    } else {
      group.quotient_scale[n] = (c / 16.0) * (c / 16.0) * smax;
      group.value_scale[n] = round_to_half(static_cast<float>(group.quotient_scale[n]));
    }
  }
}

inline double quantize_value(double w, double scale, int bits) {
  if (scale == 0.0) return 0.0;
  const double half = 1 << (bits - 1);
  return std::clamp(std::nearbyint(w / scale), -half, half - 1);
}

inline GroupParameters find_parameters(const Dense& w, std::int64_t first, int rows, int bits,
                                       const kernels::QuantizerSettings& settings) {
  GroupParameters group;
  group.codes.resize(w.cols);
  group.quotient_scale.resize(w.cols);
  group.value_scale.resize(w.cols);
  std::vector<double> base(w.cols);
  for (std::int64_t n = 0; n < w.cols; ++n) {
    double maximum = 0.0;
    for (int r = 0; r < rows; ++r) maximum = std::max(maximum, std::abs(w.at(first + r, n)));
    base[n] = (maximum + 1e-12) / (((1 << bits) - 1) / 2.0);
  }
  const double smax = *std::max_element(base.begin(), base.end());
  for (std::int64_t n = 0; n < w.cols; ++n) {
    const double c = std::clamp(std::nearbyint(std::sqrt(base[n] / smax) * 16.0), 1.0, 16.0);
    group.codes[n] = static_cast<int>(c) - 1;
  }
  double best_error = 0.0;
  for (int j = 0; j <= settings.shrink_steps; ++j) {
    const double part = static_cast<double>(j) / settings.shrink_steps;
    const double p = settings.shrink_low * (1.0 - part) + settings.shrink_high * part;
    column_scales(group, smax * p, settings.scale_rounding);
    double error = 0.0;
    for (int r = 0; r < rows; ++r) {
      for (std::int64_t n = 0; n < w.cols; ++n) {
        const double x = w.at(first + r, n);
        const double scale = group.quotient_scale[n];
        const double miss = std::abs(quantize_value(x, scale, bits) * scale - x);
        error += miss * miss * miss * std::sqrt(miss);
      }
    }
    if (j == 0 || error < best_error) {
      best_error = error;
      group.best = j;
      group.smax = smax * p;
    }
  }
  column_scales(group, group.smax, settings.scale_rounding);
  return group;
}

/// What either form returns. Rows in permuted order.
struct Result {
  std::vector<std::uint8_t> codes;  ///< [K, N]
  Dense dequantized;                ///< [K, N]
  std::vector<int> scale_codes;     ///< [G, N]
  double damped_loss = 0.0;         ///< sum of squared GPTQ errors
};

inline Result empty_result(const Dense& w) {
  Result result;
  result.codes.resize(w.rows * w.cols);
  result.dequantized = Dense(w.rows, w.cols);
  return result;
}

/// Dequantized value of one weight, and its code into the result.
inline double quantize_into(Result& result, std::int64_t row, std::int64_t col, double v, int bits,
                            const GroupParameters& group) {
  const double q = quantize_value(v, group.quotient_scale[col], bits);
  result.codes[row * result.dequantized.cols + col] =
      static_cast<std::uint8_t>(q + (1 << (bits - 1)));
  const double value =
      kernels::round_to_half(static_cast<float>(q) * static_cast<float>(group.value_scale[col]));
  result.dequantized.at(row, col) = value;
  return value;
}

/// The published form: U from Cholesky, inverse, Cholesky; errors propagate to all later rows.
inline Result naive_gptq(Dense w, const Dense& damped_hessian,
                         const std::vector<kernels::RowGroup>& groups,
                         const kernels::QuantizerSettings& settings) {
  const std::int64_t n_rows = w.rows;
  // H^-1 = U^T U with U upper: U is the transpose of the lower Cholesky factor of H^-1.
  const Dense l = cholesky(inverse_from_cholesky(cholesky(damped_hessian)));
  const auto u = [&](std::int64_t i, std::int64_t j) { return l.at(j, i); };

  Result result = empty_result(w);
  for (const kernels::RowGroup& group : groups) {
    const auto parameters = find_parameters(w, group.first_row, group.rows, group.bits, settings);
    result.scale_codes.insert(result.scale_codes.end(), parameters.codes.begin(),
                              parameters.codes.end());
    for (std::int64_t r = group.first_row; r < group.first_row + group.rows; ++r) {
      for (std::int64_t n = 0; n < w.cols; ++n) {
        const double value = quantize_into(result, r, n, w.at(r, n), group.bits, parameters);
        const double error = (w.at(r, n) - value) / u(r, r);
        result.damped_loss += error * error;
        for (std::int64_t j = r; j < n_rows; ++j) w.at(j, n) -= u(r, j) * error;
      }
    }
  }
  return result;
}

/// The left-looking form: one reversed Cholesky, no inverse, every row written once.
inline Result left_looking_gptq(const Dense& w, const Dense& damped_hessian,
                                const std::vector<kernels::RowGroup>& groups,
                                const kernels::QuantizerSettings& settings) {
  const Dense r = reversed_cholesky(damped_hessian);
  const auto a = [&](std::int64_t i, std::int64_t j) { return r.at(i, j) / r.at(j, j); };
  Result result = empty_result(w);
  Dense difference(w.rows, w.cols);
  Dense corrected(w.rows, w.cols);
  Dense given(w.rows, w.cols);
  for (const kernels::RowGroup& group : groups) {
    const std::int64_t first = group.first_row;
    const std::int64_t last = first + group.rows;
    for (std::int64_t c = first; c < last; ++c) {
      for (std::int64_t n = 0; n < w.cols; ++n) {
        double v = w.at(c, n);
        for (std::int64_t i = 0; i < first; ++i) v += a(i, c) * difference.at(i, n);
        corrected.at(c, n) = v;
        double y = w.at(c, n) - v;
        for (std::int64_t i = first; i < c; ++i) y -= a(i, c) * (w.at(i, n) - given.at(i, n));
        given.at(c, n) = w.at(c, n) - y;
      }
    }
    const auto parameters = find_parameters(given, first, group.rows, group.bits, settings);
    result.scale_codes.insert(result.scale_codes.end(), parameters.codes.begin(),
                              parameters.codes.end());
    for (std::int64_t c = first; c < last; ++c) {
      for (std::int64_t n = 0; n < w.cols; ++n) {
        double v = corrected.at(c, n);
        for (std::int64_t i = first; i < c; ++i) v += a(i, c) * difference.at(i, n);
        const double value = quantize_into(result, c, n, v, group.bits, parameters);
        difference.at(c, n) = w.at(c, n) - value;
        const double loss = (v - value) * r.at(c, c);
        result.damped_loss += loss * loss;
      }
    }
  }
  return result;
}

/// tr(E^T H E).
inline double quadratic_form(const Dense& e, const Dense& h) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < h.rows; ++i) {
    for (std::int64_t j = 0; j < h.cols; ++j) {
      double dot = 0.0;
      for (std::int64_t n = 0; n < e.cols; ++n) dot += e.at(i, n) * e.at(j, n);
      sum += h.at(i, j) * dot;
    }
  }
  return sum;
}

}  // namespace shardquant::oracle
