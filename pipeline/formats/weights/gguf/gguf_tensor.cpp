#include "pipeline/formats/weights/gguf/gguf_tensor.hpp"

#include <fmt/format.h>

namespace shardquant::gguf {

std::int64_t GgufTensorSpec::rows() const {
  std::int64_t rows = 1;
  for (std::size_t i = 1; i < dims.size(); ++i) rows *= dims[i];
  return rows;
}

std::string describe_gguf(const GgufTensorSpec& tensor) {
  return fmt::format("{} [{}]", gguf_type_name(tensor.type), fmt::join(tensor.dims, ", "));
}

}  // namespace shardquant::gguf
