#include "pipeline/stages/group_state.hpp"

#include <filesystem>

#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::stages {

namespace {

constexpr const char* kHessianKind = "hessian";
constexpr const char* kMeasurementKind = "measurement";

std::filesystem::path path_of(const RunContext& context, std::int64_t group, GroupFile file) {
  const std::string& name = context.model.group(group).name;
  return file == GroupFile::hessian ? context.work.hessian(name) : context.work.measurement(name);
}

bool is_complete(const RunContext& context, std::int64_t group, GroupFile file) {
  const std::filesystem::path path = path_of(context, group, file);
  if (!std::filesystem::exists(path)) return false;
  const char* kind = file == GroupFile::hessian ? kHessianKind : kMeasurementKind;
  if (checkpoint::state_file_is_valid(path, kind, context.fingerprint)) return true;
  checkpoint::set_aside_damaged(path);
  return false;
}

}  // namespace

void save_hessian(const RunContext& context, std::int64_t group,
                  const CalibratedGroup& calibrated) {
  checkpoint::StateFileWriter file(path_of(context, group, GroupFile::hessian), kHessianKind,
                                   context.fingerprint);
  file.add_integer("inputs", calibrated.hessian.size());
  file.write<float>("upper_triangle", calibrated.hessian.values());
  file.write<float>("sketches", calibrated.sketches);
  file.commit();
}

CalibratedGroup load_hessian(const RunContext& context, std::int64_t group) {
  checkpoint::StateFileReader file(path_of(context, group, GroupFile::hessian), kHessianKind,
                                   context.fingerprint);
  CalibratedGroup calibrated;
  calibrated.hessian = PackedHessian(context.model.group(group).inputs);
  file.read_into<float>("upper_triangle", calibrated.hessian.values());
  calibrated.sketches = file.read<float>("sketches");
  return calibrated;
}

void save_measurement(const RunContext& context, const GroupMeasurement& record) {
  checkpoint::StateFileWriter file(path_of(context, record.group, GroupFile::measurement),
                                   kMeasurementKind, context.fingerprint);
  file.add_number("damp", record.damp);
  file.add_number("seconds", record.seconds);
  file.add_integer("damping_tries", record.damping_tries);
  file.add_integer("factor_method", static_cast<std::int64_t>(record.method));
  file.add_integer("dead_inputs", record.dead_inputs);
  file.add_integer("options", record.options);
  file.write<double>("err", record.err);
  file.write<std::int64_t>("flushed_groups", record.flushed_groups);
  file.commit();
}

GroupMeasurement load_measurement(const RunContext& context, std::int64_t group) {
  checkpoint::StateFileReader file(path_of(context, group, GroupFile::measurement),
                                   kMeasurementKind, context.fingerprint);
  GroupMeasurement record;
  record.group = group;
  record.damp = file.number("damp");
  record.seconds = file.number("seconds");
  record.damping_tries = file.integer("damping_tries");
  record.method = static_cast<kernels::FactorMethod>(file.integer("factor_method"));
  record.dead_inputs = file.integer("dead_inputs");
  record.options = file.integer("options");
  record.err = file.read<double>("err");
  record.flushed_groups = file.read<std::int64_t>("flushed_groups");
  return record;
}

std::vector<bool> find_complete(const RunContext& context, GroupFile file) {
  const auto groups = static_cast<std::int64_t>(context.model.layout.groups.size());
  std::vector<std::byte> mine(static_cast<std::size_t>(groups));
  comm::on_all(context.comm, [&] {
    for (std::int64_t g = context.comm.rank(); g < groups; g += context.comm.size()) {
      mine[static_cast<std::size_t>(g)] = std::byte{is_complete(context, g, file)};
    }
  });
  return comm::any_of_ranks(context.comm, mine);
}

}  // namespace shardquant::stages
