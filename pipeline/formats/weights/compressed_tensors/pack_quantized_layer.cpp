#include "pipeline/formats/weights/compressed_tensors/pack_quantized_layer.hpp"

#include <algorithm>
#include <cmath>

#include "pipeline/failure.hpp"
#include "pipeline/formats/float_elements.hpp"
#include "pipeline/formats/weights/compressed_tensors/bit_stream.hpp"

namespace shardquant::compressed_tensors {

namespace {

[[noreturn]] void refuse(const PackQuantizedSpec& spec, std::string_view reason) {
  fail(ExitCode::internal, "layer {}: {}", spec.key, reason);
}

void require_packable(const PackQuantizedSpec& spec, const PackQuantizedParts& parts) {
  const PackQuantizedScheme& scheme = spec.scheme;
  if (scheme.bits < 1 || scheme.bits > 8 || scheme.group < 0 || spec.outputs < 1 ||
      spec.inputs < 1 || spec.inputs % spec.group_inputs() != 0 ||
      !formats::is_weight_dtype(spec.dtype)) {
    refuse(spec,
           fmt::format("{} cannot hold [{}, {}] with scales of {}", pack_quantized_name(scheme),
                       spec.outputs, spec.inputs, formats::dtype_name(spec.dtype)));
  }
  const std::int64_t scales = spec.outputs * spec.groups();
  if (std::ssize(parts.codes) != spec.outputs * spec.inputs || std::ssize(parts.scales) != scales ||
      std::ssize(parts.zeros) != (scheme.symmetric ? 0 : scales)) {
    refuse(spec, "the parts of the quantized matrix do not fit together");
  }
}

void require_width(const PackQuantizedSpec& spec, std::span<const std::uint8_t> integers,
                   std::string_view what) {
  unsigned all = 0;
  for (const std::uint8_t integer : integers) all |= integer;
  if (all >> spec.scheme.bits != 0) {
    refuse(spec, fmt::format("a {} does not fit {} bits", what, spec.scheme.bits));
  }
}

void pack_codes(PackQuantizedLayer& layer, std::span<const std::uint8_t> codes) {
  const PackQuantizedSpec& spec = layer.spec;
  const std::int64_t words = spec.packed_words();
  layer.weight_packed.resize(spec.outputs * words);
  for (std::int64_t n = 0; n < spec.outputs; ++n) {
    pack_stream(codes.subspan(n * spec.inputs, spec.inputs), spec.scheme.bits,
                std::span(layer.weight_packed).subspan(n * words, words));
  }
}

void pack_scales(PackQuantizedLayer& layer, std::span<const float> scales) {
  const formats::Dtype dtype = layer.spec.dtype;
  layer.weight_scale.resize(std::ssize(scales) * formats::dtype_bytes(dtype));
  for (std::int64_t i = 0; i < std::ssize(scales); ++i) {
    if (!std::isfinite(scales[i]) || formats::round_to_dtype(scales[i], dtype) != scales[i]) {
      refuse(layer.spec,
             fmt::format("scale {} is no number of {}", scales[i], formats::dtype_name(dtype)));
    }
    formats::set_float_element(layer.weight_scale.data(), dtype, i, scales[i]);
  }
}

// Zero points are [N, G] outside and streams down the columns of [words, G] in the file.
void pack_zeros(PackQuantizedLayer& layer, std::span<const std::uint8_t> zeros) {
  const PackQuantizedSpec& spec = layer.spec;
  const std::int64_t groups = spec.groups();
  std::vector<std::uint8_t> column(spec.outputs);
  std::vector<std::uint32_t> words(spec.zero_words());
  layer.weight_zero_point.resize(spec.zero_words() * groups);
  if (spec.scheme.symmetric) return;
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t n = 0; n < spec.outputs; ++n) column[n] = zeros[n * groups + g];
    pack_stream(column, spec.scheme.bits, words);
    for (std::int64_t w = 0; w < std::ssize(words); ++w) {
      layer.weight_zero_point[w * groups + g] = words[w];
    }
  }
}

// The zero point of output n in group g, with 2^(bits-1) added.
int zero_at(const PackQuantizedLayer& layer, std::int64_t n, std::int64_t g) {
  const int bits = layer.spec.scheme.bits;
  if (layer.spec.scheme.symmetric) return 1 << (bits - 1);
  const std::int64_t groups = layer.spec.groups();
  const std::int64_t place = n * bits;
  const int shift = static_cast<int>(place % 32);
  const std::int64_t word = place / 32;
  std::uint64_t pair = layer.weight_zero_point[word * groups + g];
  if (shift + bits > 32) {
    pair |= std::uint64_t{layer.weight_zero_point[(word + 1) * groups + g]} << 32;
  }
  return static_cast<int>(pair >> shift & ((1u << bits) - 1));
}

}  // namespace

std::int64_t PackQuantizedSpec::packed_words() const {
  return stream_words(inputs, scheme.bits);
}

std::int64_t PackQuantizedSpec::zero_words() const {
  return scheme.symmetric ? 0 : stream_words(outputs, scheme.bits);
}

std::vector<formats::TensorSpec> pack_quantized_tensors(const PackQuantizedSpec& spec) {
  std::vector<formats::TensorSpec> tensors = {
      {spec.key + ".weight_packed", formats::Dtype::i32, {spec.outputs, spec.packed_words()}},
      {spec.key + ".weight_scale", spec.dtype, {spec.outputs, spec.groups()}},
      {spec.key + ".weight_shape", formats::Dtype::i64, {2}}};
  if (!spec.scheme.symmetric) {
    tensors.push_back(
        {spec.key + ".weight_zero_point", formats::Dtype::i32, {spec.zero_words(), spec.groups()}});
  }
  return tensors;
}

std::int64_t pack_quantized_bits(const PackQuantizedSpec& spec) {
  std::int64_t bytes = 0;
  for (const formats::TensorSpec& tensor : pack_quantized_tensors(spec)) bytes += tensor.bytes();
  return 8 * bytes;
}

PackQuantizedLayer pack_quantized_layer(const PackQuantizedSpec& spec,
                                        const PackQuantizedParts& parts) {
  require_packable(spec, parts);
  require_width(spec, parts.codes, "code");
  require_width(spec, parts.zeros, "zero point");
  PackQuantizedLayer layer;
  layer.spec = spec;
  layer.weight_shape = {spec.outputs, spec.inputs};
  pack_codes(layer, parts.codes);
  pack_scales(layer, parts.scales);
  pack_zeros(layer, parts.zeros);
  return layer;
}

std::vector<std::span<const std::byte>> pack_quantized_bytes(const PackQuantizedLayer& layer) {
  std::vector<std::span<const std::byte>> bytes = {std::as_bytes(std::span(layer.weight_packed)),
                                                   std::span(layer.weight_scale),
                                                   std::as_bytes(std::span(layer.weight_shape))};
  if (!layer.spec.scheme.symmetric) {
    bytes.push_back(std::as_bytes(std::span(layer.weight_zero_point)));
  }
  return bytes;
}

void unpack_outputs(const PackQuantizedLayer& layer, std::int64_t first, std::int64_t count,
                    std::span<std::uint8_t> out) {
  const PackQuantizedSpec& spec = layer.spec;
  const std::int64_t words = spec.packed_words();
  for (std::int64_t n = 0; n < count; ++n) {
    unpack_stream(std::span(layer.weight_packed).subspan((first + n) * words, words),
                  spec.scheme.bits, out.subspan(n * spec.inputs, spec.inputs));
  }
}

std::vector<std::uint8_t> unpack_zeros(const PackQuantizedLayer& layer) {
  const PackQuantizedSpec& spec = layer.spec;
  std::vector<std::uint8_t> zeros;
  zeros.reserve(spec.outputs * spec.groups());
  for (std::int64_t n = 0; n < spec.outputs; ++n) {
    for (std::int64_t g = 0; g < spec.groups(); ++g) {
      zeros.push_back(static_cast<std::uint8_t>(zero_at(layer, n, g)));
    }
  }
  return zeros;
}

std::vector<float> unpack_scales(const PackQuantizedLayer& layer) {
  const PackQuantizedSpec& spec = layer.spec;
  std::vector<float> scales(spec.outputs * spec.groups());
  for (std::int64_t i = 0; i < std::ssize(scales); ++i) {
    scales[i] = formats::float_element(layer.weight_scale.data(), spec.dtype, i);
  }
  return scales;
}

void decode_outputs(const PackQuantizedLayer& layer, std::int64_t first, std::int64_t count,
                    std::span<float> out) {
  const PackQuantizedSpec& spec = layer.spec;
  const std::int64_t groups = spec.groups();
  const std::int64_t group_inputs = spec.group_inputs();
  std::vector<std::uint8_t> codes(spec.inputs);
  for (std::int64_t n = 0; n < count; ++n) {
    unpack_outputs(layer, first + n, 1, codes);
    for (std::int64_t g = 0; g < groups; ++g) {
      const int zero = zero_at(layer, first + n, g);
      const float scale =
          formats::float_element(layer.weight_scale.data(), spec.dtype, (first + n) * groups + g);
      for (std::int64_t k = g * group_inputs; k < (g + 1) * group_inputs; ++k) {
        // The difference, below 256, is exact in every type, and the product in fp32 of a bf16 or
        // fp16 scale: what is rounded is the product alone.
        const float product = static_cast<float>(codes[k] - zero) * scale;
        out[n * spec.inputs + k] = formats::round_to_dtype(product, spec.dtype);
      }
    }
  }
}

}  // namespace shardquant::compressed_tensors
