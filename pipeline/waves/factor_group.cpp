#include "pipeline/waves/factor_group.hpp"

#include "kernels/api/kernel_error.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/layer_shape.hpp"

namespace shardquant::waves {

kernels::HessianFactor factor_group(kernels::Backend& backend, const model::SourceModel& model,
                                    std::int64_t group, const PackedHessian& hessian,
                                    kernels::QuantizerSettings settings) {
  try {
    for (const auto method : {kernels::FactorMethod::fp32, kernels::FactorMethod::fp64}) {
      settings.factor_method = method;
      try {
        return backend.factor_hessian(hessian.unpack(backend), settings);
      } catch (const kernels::NotPositiveDefinite&) {
        continue;  // its attempts are counted in the factor that is returned in the end
      }
    }
    settings.factor_method = kernels::FactorMethod::identity;
    return backend.factor_hessian(hessian.unpack(backend), settings);
  } catch (const kernels::NumericalError& error) {
    fail(ExitCode::bad_data, "{}: {}; check the calibration data and the weights before this layer",
         model.group(group).name, error.what());
  }
}

void require_rtn_allowed(const model::SourceModel& model, std::int64_t group,
                         kernels::FactorMethod method, std::int64_t max_rtn_layers) {
  if (method != kernels::FactorMethod::identity) return;
  const auto layers = static_cast<std::int64_t>(model.group(group).layers.size());
  if (layers <= max_rtn_layers) return;
  fail(ExitCode::bad_data,
       "{}: its Hessian cannot be factored with any damping, in fp32 nor in fp64, so its {} "
       "layer(s) "
       "would be rounded to nearest, and quantizer.max_rtn_layers allows {}; calibrate with more "
       "rows, raise quantizer.damping, or allow it",
       model.group(group).name, layers, max_rtn_layers);
}

std::string_view factor_method_name(kernels::FactorMethod method) {
  switch (method) {
    case kernels::FactorMethod::fp32:
      return "fp32";
    case kernels::FactorMethod::fp64:
      return "fp64";
    case kernels::FactorMethod::identity:
      return "round_to_nearest";
  }
  return "";
}

kernels::QuantizerSettings settings_for_group(const model::SourceModel& model, std::int64_t group,
                                              const weights::WeightFormat& format,
                                              kernels::QuantizerSettings settings) {
  const auto first = model.group(group).layers.front();
  settings.sort_inputs = !format.keeps_input_order(model::shape_of(model.layer(first)));
  return settings;
}

}  // namespace shardquant::waves
