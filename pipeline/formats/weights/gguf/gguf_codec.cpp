#include "pipeline/formats/weights/gguf/gguf_codec.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/api/half_types.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/float_elements.hpp"
#include "pipeline/formats/weights/gguf/gguf_block.hpp"

namespace shardquant::gguf {

namespace {

using detail::GgufBlock;
using detail::GgufBlockLayout;

float half(std::uint16_t bits) {
  return kernels::to_float(kernels::Half{bits});
}

formats::Dtype float_dtype(GgufType type) {
  if (type == GgufType::f32) return formats::Dtype::f32;
  return type == GgufType::f16 ? formats::Dtype::f16 : formats::Dtype::bf16;
}

[[noreturn]] void refuse(GgufType type, std::string_view reason) {
  fail(ExitCode::internal, "{}: {}", gguf_type_name(type), reason);
}

void require_fitting(const GgufGrid& grid, const GgufParts& parts, std::span<std::byte> out) {
  const std::int64_t blocks = std::ssize(parts.d);
  const std::int64_t runs = blocks * grid.runs();
  if (std::ssize(parts.codes) != blocks * gguf_block_elements(grid.type) ||
      std::ssize(parts.scales) != (grid.has_scales() ? runs : 0) ||
      std::ssize(parts.minima) != (grid.has_minima() ? runs : 0) ||
      std::ssize(parts.m) != (grid.has_offset() ? blocks : 0) ||
      std::ssize(out) != blocks * gguf_block_bytes(grid.type)) {
    refuse(grid.type, "the parts of the blocks do not fit together");
  }
}

void require_on_grid(const GgufGrid& grid, const GgufParts& parts) {
  const auto beyond = [](auto numbers, int least, int largest) {
    return std::any_of(numbers.begin(), numbers.end(),
                       [&](int number) { return number < least || number > largest; });
  };
  const auto not_finite = [](std::uint16_t bits) { return !std::isfinite(half(bits)); };
  if (beyond(parts.codes, 0, (1 << grid.bits) - 1)) refuse(grid.type, "a code is too large");
  if (beyond(parts.scales, grid.least_scale, grid.largest_scale)) {
    refuse(grid.type, "a scale is too large");
  }
  if (beyond(parts.minima, 0, grid.largest_minimum)) refuse(grid.type, "a minimum is too large");
  if (std::any_of(parts.d.begin(), parts.d.end(), not_finite) ||
      std::any_of(parts.m.begin(), parts.m.end(), not_finite)) {
    refuse(grid.type, "a scale of a block is not finite");
  }
}

// Integers of block b.
void load_block(const GgufGrid& grid, const GgufParts& parts, std::int64_t b, GgufBlock& block) {
  const std::int64_t elements = gguf_block_elements(grid.type);
  const std::int64_t runs = grid.runs();
  std::copy_n(parts.codes.begin() + b * elements, elements, block.codes.begin());
  block.d = parts.d[b];
  if (grid.has_scales()) std::copy_n(parts.scales.begin() + b * runs, runs, block.scales.begin());
  if (grid.has_minima()) std::copy_n(parts.minima.begin() + b * runs, runs, block.minima.begin());
  if (grid.has_offset()) block.m = parts.m[b];
}

void decode_block(const GgufGrid& grid, const GgufBlock& block, float* out) {
  const float d = half(block.d);
  const float m = half(block.m);
  for (std::int64_t i = 0; i < grid.runs(); ++i) {
    const float scale = grid.has_scales() ? d * static_cast<float>(block.scales[i]) : d;
    float offset = 0.0f;
    if (grid.offset == GgufOffset::minimum) offset = m * static_cast<float>(block.minima[i]);
    if (grid.offset == GgufOffset::block) offset = -m;
    const std::int64_t first = i * grid.run_elements;
    for (std::int64_t e = first; e < first + grid.run_elements; ++e) {
      out[e] = scale * static_cast<float>(block.codes[e] - grid.zero) - offset;
    }
  }
}

// Calls visit(block number, block) for each block of a type with a grid.
template <class Visit>
void for_each_block(GgufType type, std::span<const std::byte> bytes, Visit visit) {
  const GgufBlockLayout layout = detail::gguf_block_layout(type);
  const std::int64_t block_bytes = gguf_block_bytes(type);
  GgufBlock block;
  for (std::int64_t b = 0; b < std::ssize(bytes) / block_bytes; ++b) {
    layout.unpack(bytes.data() + b * block_bytes, block);
    visit(b, block);
  }
}

}  // namespace

void encode_gguf(GgufType type, const GgufParts& parts, std::span<std::byte> out) {
  const GgufGrid& grid = *find_gguf_grid(type);
  require_fitting(grid, parts, out);
  require_on_grid(grid, parts);
  const GgufBlockLayout layout = detail::gguf_block_layout(type);
  GgufBlock block;
  for (std::int64_t b = 0; b < std::ssize(parts.d); ++b) {
    load_block(grid, parts, b, block);
    layout.pack(block, out.data() + b * gguf_block_bytes(type));
  }
}

GgufIntegers unpack_gguf(GgufType type, std::span<const std::byte> bytes) {
  const GgufGrid& grid = *find_gguf_grid(type);
  GgufIntegers all;
  for_each_block(type, bytes, [&](std::int64_t, const GgufBlock& block) {
    const auto append = [](auto& to, const auto& from, std::int64_t count) {
      to.insert(to.end(), from.begin(), from.begin() + count);
    };
    append(all.codes, block.codes, gguf_block_elements(type));
    if (grid.has_scales()) append(all.scales, block.scales, grid.runs());
    if (grid.has_minima()) append(all.minima, block.minima, grid.runs());
    all.d.push_back(block.d);
    if (grid.has_offset()) all.m.push_back(block.m);
  });
  return all;
}

bool is_decoded_gguf(GgufType type) {
  return type == GgufType::f32 || type == GgufType::f16 || type == GgufType::bf16 ||
         find_gguf_grid(type) != nullptr;
}

void decode_gguf(GgufType type, std::span<const std::byte> bytes, std::span<float> out) {
  const GgufGrid* grid = find_gguf_grid(type);
  if (grid == nullptr) {
    for (std::int64_t i = 0; i < std::ssize(out); ++i) {
      out[i] = formats::float_element(bytes.data(), float_dtype(type), i);
    }
    return;
  }
  const std::int64_t elements = gguf_block_elements(type);
  for_each_block(type, bytes, [&](std::int64_t b, const GgufBlock& block) {
    decode_block(*grid, block, out.data() + b * elements);
  });
}

void encode_gguf_floats(GgufType type, std::span<const float> values, std::span<std::byte> out) {
  for (std::int64_t i = 0; i < std::ssize(values); ++i) {
    formats::set_float_element(out.data(), float_dtype(type), i, values[i]);
  }
}

}  // namespace shardquant::gguf
