#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/api/half_types.hpp"
#include "tests/oracle/naive_forward.hpp"
#include "tests/support/backend_test.hpp"

namespace shardquant::tests {
namespace {

using kernels::Backend;
using kernels::ConstMatrixView;
using kernels::Matrix;
using kernels::MatrixView;
using oracle::Dense;

/// Values that are floats, so that oracle and back end start from the same numbers.
Dense random_dense(std::int64_t rows, std::int64_t cols, std::uint64_t seed,
                   double deviation = 1.0) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0.0, deviation);
  Dense out(rows, cols);
  for (double& value : out.values) value = static_cast<float>(normal(random));
  return out;
}

std::vector<float> floats(const Dense& x) {
  return {x.values.begin(), x.values.end()};
}

/// Largest difference relative to the root mean square of `expected`.
double worst_difference(const std::vector<float>& actual, const Dense& expected) {
  double squares = 0.0;
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    squares += expected.values[i] * expected.values[i];
    // A NaN would lose every comparison.
    if (!std::isfinite(actual[i])) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, std::abs(actual[i] - expected.values[i]));
  }
  return worst / std::sqrt(squares / static_cast<double>(actual.size()));
}

class Forward : public BackendTest {
 protected:
  Matrix on_device(const Dense& x) { return BackendTest::on_device(x.rows, x.cols, floats(x)); }

  /// Runs `step` on back ends with one and two host threads on the same inputs; the bytes of the
  /// two results must be equal. Returns the result.
  template <class Step>
  std::vector<float> same_for_any_threads(Step step) {
    const std::vector<float> one = step(*backend);
    const std::vector<float> two = step(*two_threads());
    EXPECT_EQ(one.size(), two.size());
    EXPECT_EQ(std::memcmp(one.data(), two.data(), one.size() * sizeof(float)), 0)
        << "the number of threads changes the result";
    return one;
  }

  static Matrix upload(Backend& on, const Dense& x) {
    Matrix matrix = on.allocate(x.rows, x.cols);
    on.upload(floats(x), matrix);
    return matrix;
  }
  static std::vector<float> download(Backend& on, ConstMatrixView x) {
    std::vector<float> values(static_cast<std::size_t>(x.size()));
    on.download(x, values);
    return values;
  }
};

TEST_P(Forward, RmsNormOfAHandCheckedRow) {
  Matrix x = BackendTest::on_device(1, 2, {3.0f, 4.0f});
  Matrix weight = BackendTest::on_device(1, 2, {1.0f, 2.0f});
  backend->rms_norm(x, weight, 0.5f, x);  // mean square 12.5, + 0.5 = 13
  const std::vector<float> out = to_host(x);
  EXPECT_FLOAT_EQ(out[0], static_cast<float>(3.0 / std::sqrt(13.0)));
  EXPECT_FLOAT_EQ(out[1], static_cast<float>(8.0 / std::sqrt(13.0)));
}

TEST_P(Forward, RmsNorm) {
  for (const std::int64_t cols : {1, 7, 64, 1031}) {
    const Dense x = random_dense(5, cols, 1, 3.0);
    const Dense weight = random_dense(1, cols, 2);
    const auto out = same_for_any_threads([&](Backend& on) {
      Matrix result = on.allocate(x.rows, x.cols);
      on.rms_norm(upload(on, x), upload(on, weight), 1e-5f, result);
      return download(on, result);
    });
    EXPECT_LT(worst_difference(out, oracle::rms_norm(x, weight, 1e-5f)), 3e-6) << cols;
  }
}

TEST_P(Forward, LinearWithAndWithoutBias) {
  struct Size {
    std::int64_t tokens, inputs, outputs;
  };
  for (const auto [tokens, inputs, outputs] :
       {Size{1, 1, 1}, Size{3, 5, 7}, Size{17, 96, 257}, Size{1031, 40, 521}, Size{64, 2048, 33}}) {
    const Dense x = random_dense(tokens, inputs, 3);
    const Dense weight = random_dense(outputs, inputs, 4);
    for (const bool has_bias : {false, true}) {
      const Dense bias = has_bias ? random_dense(1, outputs, 5, 10.0) : Dense{};
      const auto out = same_for_any_threads([&](Backend& on) {
        Matrix result = on.allocate(tokens, outputs);
        Matrix bias_matrix;
        if (has_bias) bias_matrix = upload(on, bias);
        on.linear(upload(on, x), upload(on, weight), bias_matrix, result);
        return download(on, result);
      });
      const double tolerance = 4e-7 * std::sqrt(static_cast<double>(inputs)) + 1e-6;
      EXPECT_LT(worst_difference(out, oracle::linear(x, weight, bias)), tolerance)
          << tokens << " x " << inputs << " x " << outputs << (has_bias ? " with bias" : "");
    }
  }
}

TEST_P(Forward, LinearOnPartsOfLargerMatrices) {
  const Dense x = random_dense(6, 20, 6);
  const Dense weight = random_dense(9, 20, 7);
  Matrix wide_x = on_device(random_dense(6, 32, 8));
  Matrix wide_out = on_device(random_dense(6, 16, 9));
  const std::vector<float> before = to_host(wide_out);
  MatrixView x_part{wide_x.view().data + 5, 6, 20, wide_x.stride()};
  MatrixView out_part{wide_out.view().data + 2, 6, 9, wide_out.stride()};
  backend->upload(floats(x), x_part);
  backend->linear(x_part, on_device(weight), {}, out_part);
  EXPECT_LT(worst_difference(to_host(out_part), oracle::linear(x, weight)), 3e-6);
  const std::vector<float> after = to_host(wide_out);
  for (std::size_t i = 0; i < after.size(); ++i) {
    const std::size_t col = i % 16;
    if (col >= 2 && col < 11) continue;
    EXPECT_EQ(after[i], before[i]) << "written outside, element " << i;
  }
}

TEST_P(Forward, Rotate) {
  const std::int64_t row_length = 11;
  for (const std::int64_t dim : {2, 6, 64}) {
    const std::vector<double> frequencies = oracle::rope_frequencies(10000.0, dim);
    Dense cosines(row_length, dim / 2);
    Dense sines(row_length, dim / 2);
    for (std::int64_t t = 0; t < row_length; ++t) {
      for (std::int64_t i = 0; i < dim / 2; ++i) {
        cosines.at(t, i) = std::cos(static_cast<double>(t) * frequencies[i]);
        sines.at(t, i) = std::sin(static_cast<double>(t) * frequencies[i]);
      }
    }
    const Dense x = random_dense(3 * row_length, 3 * dim, 10);
    const auto out = same_for_any_threads([&](Backend& on) {
      Matrix result = upload(on, x);
      on.rotate(result, 3, upload(on, cosines), upload(on, sines));
      return download(on, result);
    });
    EXPECT_LT(worst_difference(out, oracle::rotated(x, 3, row_length, frequencies)), 1e-6) << dim;
  }
}

struct AttentionCase {
  std::int64_t rows, row_length, heads, kv_heads, dim, window;
};

TEST_P(Forward, CausalAttention) {
  for (const AttentionCase& c :
       {AttentionCase{1, 1, 1, 1, 2, 0}, AttentionCase{3, 5, 2, 1, 4, 0},
        AttentionCase{2, 65, 6, 2, 10, 0}, AttentionCase{2, 131, 4, 4, 32, 0},
        AttentionCase{2, 131, 4, 2, 16, 1}, AttentionCase{1, 200, 3, 1, 8, 37},
        AttentionCase{1, 200, 2, 1, 8, 64}, AttentionCase{1, 130, 2, 2, 8, 500}}) {
    const std::int64_t tokens = c.rows * c.row_length;
    // Wide scores, so that the softmax has sharp and flat rows.
    const Dense q = random_dense(tokens, c.heads * c.dim, 11, 3.0);
    const Dense k = random_dense(tokens, c.kv_heads * c.dim, 12);
    const Dense v = random_dense(tokens, c.kv_heads * c.dim, 13);
    const auto out = same_for_any_threads([&](Backend& on) {
      Matrix result = on.allocate(tokens, c.heads * c.dim);
      on.causal_attention(upload(on, q), upload(on, k), upload(on, v),
                          {c.row_length, c.heads, c.kv_heads, c.dim, c.window}, result);
      return download(on, result);
    });
    const Dense expected =
        oracle::causal_attention(q, k, v, c.row_length, c.heads, c.kv_heads, c.window);
    EXPECT_LT(worst_difference(out, expected), 2e-5)
        << "row length " << c.row_length << ", heads " << c.heads << ", window " << c.window;
  }
}

TEST_P(Forward, AttentionWithScoresBeyondTheRangeOfExp) {
  Matrix q = BackendTest::on_device(3, 2, {300.0f, 0.0f, 300.0f, 0.0f, -300.0f, 0.0f});
  Matrix k = BackendTest::on_device(3, 2, {0.0f, 0.0f, 300.0f, 0.0f, 1.0f, 0.0f});
  Matrix v = BackendTest::on_device(3, 2, {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f});
  Matrix result = backend->allocate(3, 2);
  backend->causal_attention(q, k, v, {3, 1, 1, 2, 0}, result);
  const std::vector<float> out = to_host(result);
  const std::vector<float> expected = {1.0f, 2.0f, 3.0f, 4.0f, 1.0f, 2.0f};
  for (std::size_t i = 0; i < out.size(); ++i) EXPECT_NEAR(out[i], expected[i], 1e-5) << i;
}

TEST_P(Forward, GatedProductOverTheWholeRange) {
  const Dense up = random_dense(7, 133, 14);
  for (const kernels::Activation activation :
       {kernels::Activation::silu, kernels::Activation::gelu_tanh}) {
    for (const double deviation : {1e-3, 1.0, 30.0, 1000.0}) {
      const Dense gate = random_dense(7, 133, 15, deviation);
      const auto out = same_for_any_threads([&](Backend& on) {
        Matrix result = upload(on, gate);
        on.gated_product(result, upload(on, up), activation);
        return download(on, result);
      });
      const Dense expected = activation == kernels::Activation::silu
                                 ? oracle::silu_product(gate, up)
                                 : oracle::gelu_product(gate, up);
      EXPECT_LT(worst_difference(out, expected), 2e-6) << deviation;
    }
  }
}

TEST_P(Forward, SoftCapBendsLargeValuesAndLeavesSmallOnes) {
  const Dense x = random_dense(5, 77, 16, 40.0);
  const auto out = same_for_any_threads([&](Backend& on) {
    Matrix result = upload(on, x);
    on.soft_cap(result, 30.0f);
    return download(on, result);
  });
  Dense expected = x;
  for (double& value : expected.values) value = 30.0 * std::tanh(value / 30.0);
  EXPECT_LT(worst_difference(out, expected), 1e-6);
  EXPECT_LE(*std::max_element(out.begin(), out.end()), 30.0f);
}

TEST_P(Forward, AttentionTakesAScaleOfItsOwn) {
  const Dense q = random_dense(12, 2 * 8, 17), k = random_dense(12, 8, 18),
              v = random_dense(12, 8, 19);
  Dense scaled = q;  // 0.5 in place of 1 / sqrt(8)
  for (double& value : scaled.values) value *= 0.5 * std::sqrt(8.0);
  const auto out = same_for_any_threads([&](Backend& on) {
    Matrix result = on.allocate(12, 16);
    on.causal_attention(upload(on, q), upload(on, k), upload(on, v), {12, 2, 1, 8, 0, 0.5f},
                        result);
    return download(on, result);
  });
  EXPECT_LT(worst_difference(out, oracle::causal_attention(scaled, k, v, 12, 2, 1, 0)), 2e-6);
}

TEST_P(Forward, Add) {
  const Dense x = random_dense(9, 77, 16);
  const Dense y = random_dense(9, 77, 17);
  const auto out = same_for_any_threads([&](Backend& on) {
    Matrix result = upload(on, x);
    on.add(result, upload(on, y));
    return download(on, result);
  });
  for (std::size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i], static_cast<float>(x.values[i]) + static_cast<float>(y.values[i]));
  }
}

TEST_P(Forward, NegativeLogLikelihood) {
  for (const std::int64_t vocabulary : {1, 5, 512, 4099}) {
    for (const double deviation : {1.0, 40.0}) {
      const Dense logits = random_dense(13, vocabulary, 18, deviation);
      std::vector<std::int32_t> targets;
      for (std::int64_t t = 0; t < logits.rows; ++t) {
        targets.push_back(t == 4 ? -1 : static_cast<std::int32_t>(t * 7919 % vocabulary));
      }
      std::vector<double> one(13, -1.0);
      std::vector<double> two(13, -1.0);
      Matrix on_one = on_device(logits);
      backend->negative_log_likelihood(on_one, targets, one);
      const auto second = two_threads();
      Matrix on_two = upload(*second, logits);
      second->negative_log_likelihood(on_two, targets, two);
      EXPECT_EQ(one, two);
      EXPECT_EQ(one[4], 0.0);
      for (std::int64_t t = 0; t < logits.rows; ++t) {
        if (targets[t] < 0) continue;
        const double expected = oracle::negative_log_likelihood(logits, t, targets[t]);
        EXPECT_NEAR(one[t], expected, 4e-7 * (1.0 + expected)) << "row " << t;
      }
    }
  }
}

TEST_P(Forward, NanAndInfinityAreCountedAndPassThroughEveryStep) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::int64_t cols = 40;
  std::int64_t first = -1;

  std::vector<float> values(3 * cols, 1.0f);
  Matrix x = BackendTest::on_device(3, cols, values);
  EXPECT_EQ(backend->count_nonfinite(x, first), 0);
  values[cols + 5] = -infinity;
  values[cols + 7] = nan;
  values[2 * cols] = infinity;
  backend->upload(values, x);
  EXPECT_EQ(backend->count_nonfinite(x, first), 3);
  EXPECT_EQ(first, cols + 5);
  MatrixView part{x.view().data + 7, 3, 8, x.stride()};
  EXPECT_EQ(backend->count_nonfinite(part, first), 1);
  EXPECT_EQ(first, 8);

  for (const float bad : {nan, infinity}) {
    std::vector<float> one_bad(3 * cols, 0.5f);
    one_bad[cols + 3] = bad;
    const auto fresh = [&] { return BackendTest::on_device(3, cols, one_bad); };
    Matrix good = BackendTest::on_device(3, cols, std::vector<float>(3 * cols, 0.5f));
    Matrix out = backend->allocate(3, cols);
    Matrix weight = BackendTest::on_device(cols, cols, std::vector<float>(cols * cols, 1.0f));
    const auto bad_rows_in = [&](ConstMatrixView result) {
      return backend->count_nonfinite(result, first);
    };
    backend->rms_norm(fresh(), good.view().row_range(0, 1), 1e-5f, out);
    EXPECT_GT(bad_rows_in(out), 0) << "rms_norm lost " << bad;
    backend->linear(fresh(), weight, {}, out);
    EXPECT_EQ(bad_rows_in(out), cols) << "linear lost " << bad;
    backend->causal_attention(fresh(), good, good, {3, 4, 4, 10, 0}, out);
    EXPECT_GT(bad_rows_in(out), 0) << "attention lost " << bad << " in q";
    backend->causal_attention(good, good, fresh(), {3, 4, 4, 10, 0}, out);
    EXPECT_GT(bad_rows_in(out), 0) << "attention lost " << bad << " in v";
    Matrix gate = fresh();
    backend->gated_product(gate, good, kernels::Activation::silu);
    EXPECT_EQ(bad_rows_in(gate), 1) << "gated_product lost " << bad;
    std::vector<double> losses(3);
    Matrix logits = fresh();
    backend->negative_log_likelihood(logits, std::vector<std::int32_t>{0, 0, 0}, losses);
    EXPECT_TRUE(std::isfinite(losses[0]));
    EXPECT_FALSE(std::isfinite(losses[1])) << "negative_log_likelihood lost " << bad;
  }
}

TEST_P(Forward, LoadWeightConvertsEveryHalfAtOddAddresses) {
  std::vector<std::byte> bytes(1 + 2 * 65536);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    std::memcpy(bytes.data() + 1 + 2 * i, &bits, 2);
  }
  for (const auto type : {kernels::ElementType::f16, kernels::ElementType::bf16}) {
    const auto values = to_host(backend->load_weight({bytes.data() + 1, type, 512, 128}));
    for (std::uint32_t i = 0; i < 65536; ++i) {
      const auto bits = static_cast<std::uint16_t>(i);
      const float expected = type == kernels::ElementType::f16
                                 ? kernels::to_float(kernels::Half{bits})
                                 : kernels::to_float(kernels::BFloat16{bits});
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(values[i])) << i;
      } else {
        EXPECT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected))
            << i;
      }
    }
  }
}

TEST_P(Forward, LoadWeightOfFloatsAndRaggedSizes) {
  const Dense weight = random_dense(3, 1031, 19);
  const std::vector<float> values = floats(weight);
  std::vector<std::byte> bytes(3 + values.size() * sizeof(float));
  std::memcpy(bytes.data() + 3, values.data(), values.size() * sizeof(float));
  EXPECT_EQ(to_host(backend->load_weight(
                {bytes.data() + 3, kernels::ElementType::f32, weight.rows, weight.cols})),
            values);

  std::vector<std::uint16_t> halves(values.size());
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = kernels::to_half(values[i]).bits;
  const auto* raw = reinterpret_cast<const std::byte*>(halves.data());
  const auto loaded =
      to_host(backend->load_weight({raw, kernels::ElementType::f16, weight.rows, weight.cols}));
  for (std::size_t i = 0; i < halves.size(); ++i) {
    EXPECT_EQ(loaded[i], kernels::round_to_half(values[i])) << i;
  }
}

INSTANTIATE_FOR_BACKENDS(Forward);

}  // namespace
}  // namespace shardquant::tests
