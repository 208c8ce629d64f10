#include "pipeline/model/source_types/plain_weight.hpp"

#include <cstring>

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::model {

namespace {

struct Found {
  std::int64_t count = 0;
  std::int64_t first = -1;
};

// Elements whose bits without the sign are at least `limit`: for floating point that is an order of
// size, with infinity and NaN on top.
template <class Word>
Found find_from(const std::vector<std::byte>& bytes, Word limit) {
  constexpr Word kMagnitude = static_cast<Word>(~Word{0}) >> 1;
  const auto size = static_cast<std::int64_t>(bytes.size() / sizeof(Word));
  const auto is_found = [&](std::int64_t i) {
    Word word;
    std::memcpy(&word, bytes.data() + i * static_cast<std::int64_t>(sizeof(Word)), sizeof(Word));
    return static_cast<Word>(word & kMagnitude) >= limit;
  };
  Found found;
  for (std::int64_t i = 0; i < size; ++i) found.count += is_found(i) ? 1 : 0;
  if (found.count > 0) {
    for (found.first = 0; !is_found(found.first);) ++found.first;
  }
  return found;
}

Found find_nonfinite(const StoredWeight& weight) {
  switch (weight.type) {
    case kernels::ElementType::f32:
      return find_from<std::uint32_t>(weight.bytes, 0x7f800000u);
    case kernels::ElementType::f16:
      return find_from<std::uint16_t>(weight.bytes, 0x7c00u);
    case kernels::ElementType::bf16:
      return find_from<std::uint16_t>(weight.bytes, 0x7f80u);
  }
  return {};
}

// The next number above 65504 in each type.
Found find_beyond_half(const StoredWeight& weight) {
  switch (weight.type) {
    case kernels::ElementType::f32:
      return find_from<std::uint32_t>(weight.bytes, 0x477fe001u);
    case kernels::ElementType::bf16:
      return find_from<std::uint16_t>(weight.bytes, 0x4780u);
    case kernels::ElementType::f16:
      break;
  }
  return {};
}

void require_none(const Found& found, const char* what, const StoredWeight& weight,
                  const formats::SafetensorsFolder& folder, const std::string& name) {
  if (found.count == 0) return;
  fail(ExitCode::bad_data, "{}: tensor {}: {} values are {}, the first at [{}, {}]",
       folder.file_of(name).name(), formats::json_quote(name), found.count, what,
       found.first / weight.cols, found.first % weight.cols);
}

}  // namespace

StoredWeight read_plain_weight(const formats::SafetensorsFolder& folder, const std::string& name) {
  const formats::TensorInfo& tensor = folder.at(name);
  StoredWeight weight;
  if (tensor.dtype == formats::Dtype::f32) {
    weight.type = kernels::ElementType::f32;
  } else if (tensor.dtype == formats::Dtype::f16) {
    weight.type = kernels::ElementType::f16;
  } else if (tensor.dtype == formats::Dtype::bf16) {
    weight.type = kernels::ElementType::bf16;
  }
  if (tensor.shape.size() != 2 ||
      (weight.type == kernels::ElementType::f32 && tensor.dtype != formats::Dtype::f32)) {
    fail(ExitCode::bad_data, "{}: tensor {} is {}; wanted is a matrix of F32, F16 or BF16",
         folder.file_of(name).name(), formats::json_quote(name),
         formats::describe_tensor(tensor.dtype, tensor.shape));
  }
  weight.rows = tensor.shape[0];
  weight.cols = tensor.shape[1];
  weight.bytes = folder.read_all(name);
  require_none(find_nonfinite(weight), "NaN or infinite", weight, folder, name);
  return weight;
}

void require_fits_half(const StoredWeight& weight, const formats::SafetensorsFolder& folder,
                       const std::string& name) {
  require_none(find_beyond_half(weight), "beyond fp16 (65504)", weight, folder, name);
}

}  // namespace shardquant::model
