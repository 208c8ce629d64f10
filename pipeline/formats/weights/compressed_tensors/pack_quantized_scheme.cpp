#include "pipeline/formats/weights/compressed_tensors/pack_quantized_scheme.hpp"

#include <fmt/format.h>

#include <string_view>

namespace shardquant::compressed_tensors {

namespace {

std::string divides_fault(std::string_view what, std::int64_t count, std::int64_t unit) {
  return count % unit == 0 ? "" : fmt::format("{} {} are no multiple of {}", count, what, unit);
}

// Outputs a device has must fill whole words with codes of this width.
std::string words_fault(std::int64_t outputs, int bits) {
  if (outputs * bits % 32 == 0) return "";
  return fmt::format("{} outputs of {} bits do not fill words of 32 bits", outputs, bits);
}

std::string expert_fault(const PackQuantizedScheme& scheme, std::int64_t outputs) {
  if (scheme.group == 0) return "an expert needs groups";
  std::string fault = words_fault(outputs, scheme.bits);
  if (fault.empty() && !scheme.symmetric) {
    fault = divides_fault("outputs of an expert", outputs, 32 / scheme.bits);
  }
  return fault;
}

}  // namespace

std::string pack_quantized_name(const PackQuantizedScheme& scheme) {
  const std::string group = scheme.group == 0 ? "c" : fmt::format("g{}", scheme.group);
  return fmt::format("w{}{}{}", scheme.bits, group, scheme.symmetric ? 's' : 'a');
}

std::string pack_quantized_fault(const PackQuantizedScheme& scheme, const PackQuantizedUse& use) {
  std::string fault = divides_fault("outputs", use.outputs, use.output_parts);
  if (fault.empty()) fault = divides_fault("inputs", use.inputs, use.input_parts);
  if (!fault.empty()) return fault;
  const std::int64_t outputs = use.outputs / use.output_parts;
  const std::int64_t inputs = use.inputs / use.input_parts;
  if (scheme.group != 0) fault = divides_fault("inputs", inputs, scheme.group);
  if (fault.empty() && use.is_expert) fault = expert_fault(scheme, outputs);
  if (fault.empty() && !scheme.symmetric) fault = words_fault(outputs, scheme.bits);
  return fault;
}

std::vector<PackQuantizedScheme> pack_quantized_schemes(const PackQuantizedUse& use,
                                                        bool asymmetric) {
  std::vector<PackQuantizedScheme> schemes;
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const std::int64_t group : {32, 64, 128}) {
      for (const bool symmetric : {false, true}) {
        const PackQuantizedScheme scheme{bits, group, symmetric};
        if (!symmetric && !asymmetric) continue;
        if (pack_quantized_fault(scheme, use).empty()) schemes.push_back(scheme);
      }
    }
  }
  return schemes;
}

}  // namespace shardquant::compressed_tensors
