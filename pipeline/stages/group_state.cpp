#include "pipeline/stages/group_state.hpp"

#include <filesystem>
#include <string>

#include "pipeline/checkpoint/state_file.hpp"

namespace shardquant::stages {

namespace {

namespace fs = std::filesystem;

// With the name in it a file that took another one's place is noticed.
std::string hessian_kind(const RunContext& context, std::int64_t group) {
  return "hessian of " + context.model.group(group).name;
}

std::string measurement_kind(const RunContext& context, std::int64_t layer) {
  return "measurement of " + context.model.layer(layer).key;
}

fs::path hessian_path(const RunContext& context, std::int64_t group) {
  return context.work.hessian(context.model.group(group).name);
}

fs::path measurement_path(const RunContext& context, std::int64_t layer) {
  return context.work.measurement(context.model.layer(layer).key);
}

// is_whole(i) for this rank's share of 0 .. count - 1; then the answers of all.
template <class Check>
std::vector<bool> share_checks(const RunContext& context, std::int64_t count, Check is_whole) {
  std::vector<std::byte> mine(static_cast<std::size_t>(count));
  comm::on_all(context.comm, [&] {
    for (std::int64_t i = context.comm.rank(); i < count; i += context.comm.size()) {
      mine[static_cast<std::size_t>(i)] = std::byte{is_whole(i)};
    }
  });
  return comm::any_of_ranks(context.comm, mine);
}

}  // namespace

void save_hessian(const RunContext& context, std::int64_t group,
                  const CalibratedGroup& calibrated) {
  checkpoint::StateFileWriter file(hessian_path(context, group), hessian_kind(context, group),
                                   context.fingerprint);
  file.add_integer("inputs", calibrated.hessian.size());
  file.write<float>("upper_triangle", calibrated.hessian.values());
  file.write<float>("sketches", calibrated.sketches);
  file.commit();
}

CalibratedGroup load_hessian(const RunContext& context, std::int64_t group) {
  checkpoint::StateFileReader file(hessian_path(context, group), hessian_kind(context, group),
                                   context.fingerprint);
  CalibratedGroup calibrated;
  calibrated.hessian = PackedHessian(context.model.group(group).inputs);
  file.read_into<float>("upper_triangle", calibrated.hessian.values());
  calibrated.sketches = file.read<float>("sketches");
  return calibrated;
}

void save_measurement(const RunContext& context, const MeasuredLayer& record) {
  checkpoint::StateFileWriter file(measurement_path(context, record.layer),
                                   measurement_kind(context, record.layer), context.fingerprint);
  file.add_number("damp", record.damp);
  file.add_number("seconds", record.seconds);
  file.add_integer("damping_tries", record.damping_tries);
  file.add_integer("factor_method", static_cast<std::int64_t>(record.method));
  file.add_integer("dead_inputs", record.dead_inputs);
  file.write<double>("err", record.err);
  file.write<std::int64_t>("flushed_groups", record.flushed_groups);
  file.commit();
}

MeasuredLayer load_measurement(const RunContext& context, std::int64_t layer) {
  checkpoint::StateFileReader file(measurement_path(context, layer),
                                   measurement_kind(context, layer), context.fingerprint);
  MeasuredLayer record;
  record.layer = layer;
  record.damp = file.number("damp");
  record.seconds = file.number("seconds");
  record.damping_tries = file.integer("damping_tries");
  record.method = static_cast<kernels::FactorMethod>(file.integer("factor_method"));
  record.dead_inputs = file.integer("dead_inputs");
  record.err = file.read<double>("err");
  record.flushed_groups = file.read<std::int64_t>("flushed_groups");
  return record;
}

std::vector<bool> find_kept_hessians(const RunContext& context) {
  return share_checks(context, std::ssize(context.model.layout.groups), [&](std::int64_t group) {
    return checkpoint::state_file_is_usable(hessian_path(context, group),
                                            hessian_kind(context, group), context.fingerprint);
  });
}

std::vector<bool> find_measured_layers(const RunContext& context) {
  return share_checks(context, std::ssize(context.model.layout.linear_layers),
                      [&](std::int64_t layer) {
                        return checkpoint::state_file_is_usable(measurement_path(context, layer),
                                                                measurement_kind(context, layer),
                                                                context.fingerprint);
                      });
}

}  // namespace shardquant::stages
