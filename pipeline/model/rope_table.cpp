#include "pipeline/model/rope_table.hpp"

#include <cmath>
#include <numbers>

namespace shardquant::model {

namespace {

double llama3_frequency(const RopeSettings& settings, double plain) {
  const auto original = static_cast<double>(settings.original_max_position_embeddings);
  const double wave_length = 2.0 * std::numbers::pi / plain;
  if (wave_length > original / settings.low_freq_factor) return plain / settings.factor;
  if (wave_length < original / settings.high_freq_factor) return plain;
  const double smooth = (original / wave_length - settings.low_freq_factor) /
                        (settings.high_freq_factor - settings.low_freq_factor);
  return (1.0 - smooth) * plain / settings.factor + smooth * plain;
}

}  // namespace

std::vector<double> rope_frequencies(const RopeSettings& settings, std::int64_t head_dim) {
  std::vector<double> frequencies(static_cast<std::size_t>(head_dim / 2));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(head_dim);
    const double plain = std::pow(settings.theta, -exponent);
    switch (settings.scaling) {
      case RopeScalingKind::none:
        frequencies[i] = plain;
        break;
      case RopeScalingKind::linear:
        frequencies[i] = plain / settings.factor;
        break;
      case RopeScalingKind::llama3:
        frequencies[i] = llama3_frequency(settings, plain);
        break;
    }
  }
  return frequencies;
}

RopeTable make_rope_table(kernels::Backend& backend, const RopeSettings& settings,
                          std::int64_t head_dim, std::int64_t row_length) {
  const std::vector<double> frequencies = rope_frequencies(settings, head_dim);
  std::vector<float> cosines;
  std::vector<float> sines;
  for (std::int64_t position = 0; position < row_length; ++position) {
    for (const double frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      cosines.push_back(static_cast<float>(std::cos(angle)));
      sines.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  RopeTable table{backend.allocate(row_length, head_dim / 2),
                  backend.allocate(row_length, head_dim / 2)};
  backend.upload(cosines, table.cosines);
  backend.upload(sines, table.sines);
  return table;
}

}  // namespace shardquant::model
