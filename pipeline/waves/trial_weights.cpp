#include "pipeline/waves/trial_weights.hpp"

#include <filesystem>
#include <string>

#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/waves/sensitivity_units.hpp"

namespace shardquant::waves {

namespace {

constexpr const char* kDataset = "weight";  // fp16 bits, [outputs, inputs]

std::string kind_of(const Job& job, std::int64_t layer) {
  const model::LinearLayer& info = job.model.layer(layer);
  const std::int64_t option = trial_option(job.options, job.config.sensitivity.option, info.inputs);
  return fmt::format("weight of {} at {}", info.key,
                     exl2::describe(job.options[static_cast<std::size_t>(option)]));
}

std::filesystem::path path_of(const Job& job, std::int64_t layer) {
  return job.work.trial_weight(job.model.layer(layer).key);
}

}  // namespace

void save_trial_weight(const Job& job, std::int64_t layer, const kernels::QuantizedMatrix& matrix,
                       std::span<const std::int32_t> perm) {
  const model::LinearLayer& info = job.model.layer(layer);
  const auto inputs = static_cast<std::size_t>(info.inputs);
  const auto outputs = static_cast<std::size_t>(info.outputs);
  std::vector<std::uint16_t> halves(inputs * outputs);
  for (std::size_t k = 0; k < inputs; ++k) {
    const std::uint16_t* from = matrix.values.data() + k * outputs;
    std::uint16_t* to = halves.data() + perm[k];
    for (std::size_t n = 0; n < outputs; ++n) to[n * inputs] = from[n];
  }
  checkpoint::StateFileWriter file(path_of(job, layer), kind_of(job, layer), job.fingerprint);
  file.write<std::uint16_t>(kDataset, halves);
  file.commit();
}

kernels::Matrix load_trial_weight(const Job& job, kernels::Backend& backend, std::int64_t layer) {
  const model::LinearLayer& info = job.model.layer(layer);
  checkpoint::StateFileReader file(path_of(job, layer), kind_of(job, layer), job.fingerprint);
  const std::vector<std::uint16_t> halves = file.read<std::uint16_t>(kDataset);
  if (std::ssize(halves) != info.parameters()) {
    fail(ExitCode::bad_data, "{}: holds {} values where {} has {}", path_of(job, layer).string(),
         halves.size(), info.key, info.parameters());
  }
  return backend.load_weight({reinterpret_cast<const std::byte*>(halves.data()),
                              kernels::ElementType::f16, info.outputs, info.inputs});
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
