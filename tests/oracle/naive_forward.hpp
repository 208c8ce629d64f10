#pragma once

// The forward pass of the supported decoder models in double precision, element by element from the
// formulas; slow and plain.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numbers>
#include <string>
#include <vector>

#include "tests/oracle/naive_gptq.hpp"

namespace shardquant::oracle {

/// out[t] = x[t] / sqrt(mean(x[t]^2) + epsilon) * weight; weight: [1, C]
inline Dense rms_norm(const Dense& x, const Dense& weight, double epsilon) {
  Dense out(x.rows, x.cols);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    double squares = 0.0;
    for (std::int64_t i = 0; i < x.cols; ++i) squares += x.at(t, i) * x.at(t, i);
    const double root = std::sqrt(squares / static_cast<double>(x.cols) + epsilon);
    for (std::int64_t i = 0; i < x.cols; ++i) out.at(t, i) = x.at(t, i) / root * weight.at(0, i);
  }
  return out;
}

/// The same over each head's part of the columns; weight: [1, head_dim]
inline Dense head_rms_norm(const Dense& x, const Dense& weight, double epsilon) {
  const std::int64_t heads = x.cols / weight.cols;
  Dense folded(x.rows * heads, weight.cols);
  folded.values = x.values;
  Dense out = rms_norm(folded, weight, epsilon);
  out.rows = x.rows;
  out.cols = x.cols;
  return out;
}

/// x weight^T + bias; weight: [N, K]; bias: [1, N] or empty
inline Dense linear(const Dense& x, const Dense& weight, const Dense& bias = {}) {
  Dense out(x.rows, weight.rows);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t n = 0; n < weight.rows; ++n) {
      double sum = bias.rows == 0 ? 0.0 : bias.at(0, n);
      for (std::int64_t k = 0; k < x.cols; ++k) sum += x.at(t, k) * weight.at(n, k);
      out.at(t, n) = sum;
    }
  }
  return out;
}

/// Each pair (i, i + head_dim / 2) of a head turned by position * frequencies[i].
inline Dense rotated(const Dense& x, std::int64_t heads, std::int64_t row_length,
                     const std::vector<double>& frequencies) {
  Dense out = x;
  const std::int64_t dim = x.cols / heads;
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t head = 0; head < heads; ++head) {
      for (std::int64_t i = 0; i < dim / 2; ++i) {
        const double angle = static_cast<double>(t % row_length) * frequencies[i];
        const std::int64_t a = head * dim + i;
        const std::int64_t b = a + dim / 2;
        out.at(t, a) = x.at(t, a) * std::cos(angle) - x.at(t, b) * std::sin(angle);
        out.at(t, b) = x.at(t, b) * std::cos(angle) + x.at(t, a) * std::sin(angle);
      }
    }
  }
  return out;
}

/// softmax(q k^T / sqrt(dim)) v over the tokens s of the row with t - window < s <= t.
inline Dense causal_attention(const Dense& q, const Dense& k, const Dense& v,
                              std::int64_t row_length, std::int64_t heads, std::int64_t kv_heads,
                              std::int64_t window) {
  Dense out(q.rows, q.cols);
  const std::int64_t dim = q.cols / heads;
  for (std::int64_t t = 0; t < q.rows; ++t) {
    const std::int64_t row = t / row_length * row_length;
    const std::int64_t first = window == 0 ? row : std::max(row, t - window + 1);
    for (std::int64_t head = 0; head < heads; ++head) {
      const std::int64_t kv = head / (heads / kv_heads) * dim;
      std::vector<double> p;
      for (std::int64_t s = first; s <= t; ++s) {
        double score = 0.0;
        for (std::int64_t i = 0; i < dim; ++i) score += q.at(t, head * dim + i) * k.at(s, kv + i);
        p.push_back(score / std::sqrt(static_cast<double>(dim)));
      }
      const double highest = *std::max_element(p.begin(), p.end());
      double sum = 0.0;
      for (double& value : p) sum += value = std::exp(value - highest);
      for (std::int64_t i = 0; i < dim; ++i) {
        double mixed = 0.0;
        for (std::int64_t s = first; s <= t; ++s) mixed += p[s - first] / sum * v.at(s, kv + i);
        out.at(t, head * dim + i) = mixed;
      }
    }
  }
  return out;
}

/// gelu_tanh(gate) * up, transformers' gelu_pytorch_tanh
inline Dense gelu_product(const Dense& gate, const Dense& up) {
  Dense out(gate.rows, gate.cols);
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    const double x = gate.values[i];
    const double inner = std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    out.values[i] = 0.5 * x * (1.0 + std::tanh(inner)) * up.values[i];
  }
  return out;
}

/// silu(gate) * up
inline Dense silu_product(const Dense& gate, const Dense& up) {
  Dense out(gate.rows, gate.cols);
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    out.values[i] = gate.values[i] / (1.0 + std::exp(-gate.values[i])) * up.values[i];
  }
  return out;
}

/// -log softmax(logits[t])[target]
inline double negative_log_likelihood(const Dense& logits, std::int64_t t, std::int64_t target) {
  double highest = logits.at(t, 0);
  for (std::int64_t i = 1; i < logits.cols; ++i) highest = std::max(highest, logits.at(t, i));
  double sum = 0.0;
  for (std::int64_t i = 0; i < logits.cols; ++i) sum += std::exp(logits.at(t, i) - highest);
  return std::log(sum) + highest - logits.at(t, target);
}

/// A decoder model; every part that a family lacks stays empty, zero or false.
struct NaiveModel {
  std::map<std::string, Dense> tensors;  ///< names of the folder; vectors as [1, C]
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::vector<std::int64_t> windows;  ///< per layer; 0: none
  double epsilon = 1e-5;
  std::vector<double> frequencies;  ///< [head_dim / 2] radians per position

  Dense optional(const std::string& name) const {
    const auto found = tensors.find(name);
    return found == tensors.end() ? Dense{} : found->second;
  }
  const Dense& tensor(const std::string& name) const { return tensors.at(name); }
  Dense apply(const Dense& x, const std::string& key) const {
    return linear(x, tensor(key + ".weight"), optional(key + ".bias"));
  }

  Dense embed(const std::vector<std::int32_t>& tokens) const {
    const Dense& table = tensor("model.embed_tokens.weight");
    Dense out(static_cast<std::int64_t>(tokens.size()), table.cols);
    for (std::int64_t t = 0; t < out.rows; ++t) {
      for (std::int64_t i = 0; i < out.cols; ++i) out.at(t, i) = table.at(tokens[t], i);
    }
    return out;
  }

  /// The residual stream after block `layer`; the inputs of its linear layers are appended to
  /// `inputs` in the order {q, k, v}, {o}, {gate, up}, {down}.
  Dense block(Dense x, std::int64_t layer, std::int64_t row_length,
              std::vector<Dense>& inputs) const {
    const std::string name = "model.layers." + std::to_string(layer) + ".";
    const Dense in = rms_norm(x, tensor(name + "input_layernorm.weight"), epsilon);
    Dense q = apply(in, name + "self_attn.q_proj");
    Dense k = apply(in, name + "self_attn.k_proj");
    const Dense v = apply(in, name + "self_attn.v_proj");
    if (tensors.count(name + "self_attn.q_norm.weight") > 0) {
      q = head_rms_norm(q, tensor(name + "self_attn.q_norm.weight"), epsilon);
      k = head_rms_norm(k, tensor(name + "self_attn.k_norm.weight"), epsilon);
    }
    q = rotated(q, heads, row_length, frequencies);
    k = rotated(k, kv_heads, row_length, frequencies);
    const Dense mixed = causal_attention(q, k, v, row_length, heads, kv_heads, windows[layer]);
    x = sum(x, apply(mixed, name + "self_attn.o_proj"));
    const Dense mlp_in = rms_norm(x, tensor(name + "post_attention_layernorm.weight"), epsilon);
    const Dense product =
        silu_product(apply(mlp_in, name + "mlp.gate_proj"), apply(mlp_in, name + "mlp.up_proj"));
    inputs.insert(inputs.end(), {in, mixed, mlp_in, product});
    return sum(x, apply(product, name + "mlp.down_proj"));
  }

  /// Logits of a residual stream that has passed all blocks.
  Dense head(const Dense& x) const {
    const bool tied = tensors.count("lm_head.weight") == 0;
    return linear(rms_norm(x, tensor("model.norm.weight"), epsilon),
                  tensor(tied ? "model.embed_tokens.weight" : "lm_head.weight"));
  }

  static Dense sum(Dense x, const Dense& y) {
    for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += y.values[i];
    return x;
  }
};

/// theta^(-2 i / head_dim)
inline std::vector<double> rope_frequencies(double theta, std::int64_t head_dim) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < head_dim; i += 2) {
    out.push_back(std::pow(theta, -static_cast<double>(i) / static_cast<double>(head_dim)));
  }
  return out;
}

/// Llama 3's scaling by wave length: short waves stay, long ones are slowed by `factor`, those
/// between original_length / high_factor and original_length / low_factor are blended.
inline std::vector<double> llama3_frequencies(std::vector<double> plain, double factor,
                                              double low_factor, double high_factor,
                                              double original_length) {
  for (double& frequency : plain) {
    const double wave = 2.0 * std::numbers::pi / frequency;
    const double blend = (original_length / wave - low_factor) / (high_factor - low_factor);
    const double kept = std::clamp(blend, 0.0, 1.0);
    frequency = kept * frequency + (1.0 - kept) * frequency / factor;
  }
  return plain;
}

}  // namespace shardquant::oracle
