#include "pipeline/stages/layer_weights.hpp"

#include <cstring>

#include "pipeline/failure.hpp"

namespace shardquant::stages {

namespace {

kernels::ElementType element_type(const formats::TensorInfo& tensor) {
  switch (tensor.dtype) {
    case formats::Dtype::f32:
      return kernels::ElementType::f32;
    case formats::Dtype::f16:
      return kernels::ElementType::f16;
    case formats::Dtype::bf16:
      return kernels::ElementType::bf16;
    default:
      fail(ExitCode::bad_data, "{}: is {}; weights are F32, F16 or BF16", tensor.name,
           formats::dtype_name(tensor.dtype));
  }
}

// Index of the first element whose exponent bits are all set; -1 where there is none.
template <class Word>
std::int64_t first_nonfinite(const std::vector<std::byte>& bytes, Word exponent) {
  const std::size_t count = bytes.size() / sizeof(Word);
  for (std::size_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, bytes.data() + i * sizeof(Word), sizeof(Word));
    if ((word & exponent) == exponent) return static_cast<std::int64_t>(i);
  }
  return -1;
}

std::int64_t first_nonfinite(const StoredWeight& weight) {
  switch (weight.type) {
    case kernels::ElementType::f32:
      return first_nonfinite<std::uint32_t>(weight.bytes, 0x7f800000u);
    case kernels::ElementType::f16:
      return first_nonfinite<std::uint16_t>(weight.bytes, 0x7c00u);
    case kernels::ElementType::bf16:
      return first_nonfinite<std::uint16_t>(weight.bytes, 0x7f80u);
  }
  return -1;
}

}  // namespace

StoredWeight read_weight(const SourceModel& model, std::int64_t layer) {
  const std::string& name = model.tensors.weight_name(layer);
  StoredWeight weight;
  weight.type = element_type(model.folder.at(name));
  weight.rows = model.layer(layer).outputs;
  weight.cols = model.layer(layer).inputs;
  weight.bytes = model.folder.read_all(name);
  const std::int64_t bad = first_nonfinite(weight);
  if (bad >= 0) {
    fail(ExitCode::bad_data, "{}: tensor {} holds NaN or infinity, first at [{}, {}]",
         model.folder.file_of(name).name(), name, bad / weight.cols, bad % weight.cols);
  }
  return weight;
}

}  // namespace shardquant::stages
