#include "pipeline/formats/require_tensor.hpp"

#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::formats {

void refuse_tensor(const SafetensorsFolder& folder, std::string_view tensor,
                   std::string_view reason) {
  fail(ExitCode::bad_data, "{}: tensor {}: {}", folder.path().string(), json_quote(tensor), reason);
}

const TensorInfo& require_tensor(const SafetensorsFolder& folder, std::string_view tensor,
                                 Dtype dtype, std::size_t rank) {
  const TensorInfo* found = folder.find(tensor);
  if (found == nullptr) refuse_tensor(folder, tensor, "is missing");
  if (found->dtype != dtype || found->shape.size() != rank) {
    refuse_tensor(
        folder, tensor,
        fmt::format("is {}; wanted is {} with {} dimensions",
                    describe_tensor(found->dtype, found->shape), dtype_name(dtype), rank));
  }
  return *found;
}

void require_tensor(const SafetensorsFolder& folder, const TensorSpec& spec) {
  const TensorInfo& found = require_tensor(folder, spec.name, spec.dtype, spec.shape.size());
  if (found.shape != spec.shape) {
    refuse_tensor(folder, spec.name,
                  fmt::format("is {}; wanted is {}", describe_tensor(found.dtype, found.shape),
                              describe_tensor(spec.dtype, spec.shape)));
  }
}

}  // namespace shardquant::formats
