#include "pipeline/waves/sensitivity_state.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/waves/group_state.hpp"

namespace shardquant::waves {

namespace {

std::string run_of(const Job& job) {
  const SensitivityTokens tokens = sensitivity_tokens(job.config);
  return fmt::format("{}:{}:{}:{}:{}", job.fingerprint, tokens.rows, tokens.length,
                     job.config.sensitivity.option, job.config.sensitivity.per);
}

std::string record_kind(const SensitivityUnit& unit) {
  return "sensitivity of " + unit.name;
}

std::string copy_kind(const std::string& name) {
  return "hidden states with another " + name;
}

}  // namespace

void save_sensitivity(const Job& job, const SensitivityUnit& unit, std::span<const double> kl) {
  checkpoint::StateFileWriter file(job.work.sensitivity(unit.name), record_kind(unit), run_of(job));
  file.write<double>("kl", kl);
  file.commit();
}

std::vector<double> load_sensitivity(const Job& job, const SensitivityUnit& unit) {
  const auto path = job.work.sensitivity(unit.name);
  std::vector<double> kl =
      checkpoint::StateFileReader(path, record_kind(unit), run_of(job)).read<double>("kl");
  if (kl.size() != unit.layers.size()) {
    fail(ExitCode::bad_data, "{}: holds {} values for {} layers", path.string(), kl.size(),
         unit.layers.size());
  }
  return kl;
}

std::vector<bool> find_sensitivities(const RunContext& context,
                                     std::span<const SensitivityUnit> units) {
  std::vector<std::byte> there(units.size());
  comm::on_all(context.comm, [&] {
    for (auto u = static_cast<std::size_t>(context.comm.rank()); u < units.size();
         u += static_cast<std::size_t>(context.comm.size())) {
      there[u] =
          std::byte{is_usable_state(context.work.sensitivity(units[u].name), record_kind(units[u]),
                                    run_of(context), context.work.borrows_measurement())};
    }
  });
  return comm::any_of_ranks(context.comm, there);
}

void save_copy(const Job& job, kernels::Backend& backend, const std::string& name,
               const CopyState& state) {
  const kernels::ConstMatrixView hidden = state.hidden;
  std::vector<float> host(static_cast<std::size_t>(hidden.size()));
  backend.download(hidden, host);
  checkpoint::StateFileWriter file(job.work.copy(name), copy_kind(name), run_of(job));
  file.add_integer("block", state.block);
  file.write<double>("effects", state.effects);
  file.write<float>("hidden", host);
  file.commit();
}

std::optional<CopyState> load_copy(const Job& job, kernels::Backend& backend,
                                   const std::string& name, std::int64_t tokens) {
  const auto path = job.work.copy(name);
  if (!checkpoint::state_file_is_usable(path, copy_kind(name), run_of(job))) {
    return std::nullopt;
  }
  checkpoint::StateFileReader file(path, copy_kind(name), run_of(job));
  CopyState state;
  state.block = file.integer("block");
  state.effects = file.read<double>("effects");
  state.hidden = backend.allocate(tokens, job.model.description.hidden_size);
  std::vector<float> host(static_cast<std::size_t>(state.hidden.view().size()));
  file.read_into<float>("hidden", host);
  backend.upload(host, state.hidden);
  return state;
}

void remove_copy(const Job& job, const std::string& name) {
  std::error_code error;
  std::filesystem::remove(job.work.copy(name), error);  // harmless where it stays
}

std::string base_name(std::int64_t block) {
  return fmt::format("model-before-block-{}", block);
}

}  // namespace shardquant::waves
