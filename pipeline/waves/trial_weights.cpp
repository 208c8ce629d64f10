#include "pipeline/waves/trial_weights.hpp"

#include <filesystem>
#include <string>

#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/model/layer_shape.hpp"
#include "pipeline/model/source_types/quantized_weight.hpp"
#include "pipeline/waves/sensitivity_units.hpp"

namespace shardquant::waves {

namespace {

constexpr const char* kDataset = "weight";  // [outputs, inputs] of the type below
constexpr const char* kType = "type";

std::int64_t option_of(const Job& job, std::int64_t layer) {
  return trial_option(job.format, job.config.sensitivity.option,
                      model::shape_of(job.model.layer(layer)));
}

std::string kind_of(const Job& job, std::int64_t layer) {
  return fmt::format("weight of {} at {}", job.model.layer(layer).key,
                     job.format.option_text(option_of(job, layer)));
}

std::filesystem::path path_of(const Job& job, std::int64_t layer) {
  return job.work.trial_weight(job.model.layer(layer).key);
}

}  // namespace

void save_trial_weight(const Job& job, std::int64_t layer, const kernels::QuantizedMatrix& matrix,
                       std::span<const std::int32_t> perm) {
  weights::LayerShape shape = model::shape_of(job.model.layer(layer));
  shape.has_bias = false;  // it stays as it is
  const auto stored = job.format.pack(option_of(job, layer), shape, {matrix, perm, {}});
  const model::StoredWeight weight = model::decoded_weight(*stored, shape);
  checkpoint::StateFileWriter file(path_of(job, layer), kind_of(job, layer), job.fingerprint);
  file.add_integer(kType, static_cast<std::int64_t>(weight.type));
  file.write<std::uint8_t>(
      kDataset, {reinterpret_cast<const std::uint8_t*>(weight.bytes.data()), weight.bytes.size()});
  file.commit();
}

kernels::Matrix load_trial_weight(const Job& job, kernels::Backend& backend, std::int64_t layer) {
  const model::LinearLayer& info = job.model.layer(layer);
  checkpoint::StateFileReader file(path_of(job, layer), kind_of(job, layer), job.fingerprint);
  const auto type = static_cast<kernels::ElementType>(file.integer(kType));
  std::vector<std::uint8_t> bytes(
      static_cast<std::size_t>(info.parameters() * model::element_bytes(type)));
  file.read_into<std::uint8_t>(kDataset, bytes);
  return backend.load_weight(
      {reinterpret_cast<const std::byte*>(bytes.data()), type, info.outputs, info.inputs});
}

std::vector<bool> missing_trial_weights(const RunContext& context,
                                        const std::vector<bool>& wanted) {
  std::vector<std::byte> missing(wanted.size());
  comm::on_all(context.comm, [&] {
    for (std::int64_t l = context.comm.rank(); l < std::ssize(wanted); l += context.comm.size()) {
      const auto at = static_cast<std::size_t>(l);
      if (!wanted[at]) continue;
      const bool there = checkpoint::state_file_is_usable(path_of(context, l), kind_of(context, l),
                                                          context.fingerprint);
      missing[at] = std::byte{!there};
    }
  });
  return comm::any_of_ranks(context.comm, missing);
}

void remove_trial_weights(const RunContext& context) {
  const std::int64_t layers = context.model.layout.block_layers();
  for (std::int64_t l = context.comm.rank(); l < layers; l += context.comm.size()) {
    std::error_code error;
    std::filesystem::remove(path_of(context, l), error);
  }
}

std::int64_t trial_weight_bytes(const model::LinearLayer& layer) {
  return layer.parameters() * static_cast<std::int64_t>(sizeof(std::uint16_t));
}

}  // namespace shardquant::waves
