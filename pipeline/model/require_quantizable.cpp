#include "pipeline/model/require_quantizable.hpp"

#include "pipeline/failure.hpp"
#include "pipeline/model/layer_shape.hpp"

namespace shardquant::model {

void require_quantizable(const ModelDescription& description, const ModelLayout& layout,
                         const weights::WeightFormat& format) {
  if (description.stored_format != nullptr) {
    fail(ExitCode::bad_data, "{}: the model is quantized already; start from an unquantized one",
         description.config_file);
  }
  const std::string stranger = format.family_fault(description.family->architecture);
  if (!stranger.empty()) {
    fail(ExitCode::bad_data, "{}: {}; choose another output.format", description.config_file,
         stranger);
  }
  for (const LinearLayer& layer : layout.linear_layers) {
    const std::string fault = format.layer_fault(shape_of(layer));
    if (!fault.empty()) {
      fail(ExitCode::bad_data, "{}: {} {}, so this model cannot be quantized",
           description.config_file, layer.key, fault);
    }
  }
}

}  // namespace shardquant::model
