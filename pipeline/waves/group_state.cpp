#include "pipeline/waves/group_state.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>

#include "pipeline/checkpoint/durable_file.hpp"
#include "pipeline/checkpoint/state_file.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::waves {

namespace {

namespace fs = std::filesystem;

// With the name in it a file that took another one's place is noticed.
std::string hessian_kind(const Job& job, std::int64_t group) {
  return "hessian of " + job.model.group(group).name;
}

// ".options-3-4-7" in the name of a record of a part of a layer's options.
constexpr std::string_view kPartMark = ".options";

std::string part_suffix(const std::vector<std::int64_t>& options) {
  std::string suffix;
  for (const std::int64_t option : options) suffix += fmt::format("-{}", option);
  return suffix.empty() ? suffix : std::string(kPartMark) + suffix;
}

// name: of the layer, for a part with its suffix.
std::string measurement_kind(const std::string& name) {
  return "measurement of " + name;
}

fs::path hessian_path(const Job& job, std::int64_t group) {
  return job.work.hessian(job.model.group(group).name);
}

MeasuredLayer load_record(const Job& job, std::int64_t layer, const std::string& name) {
  checkpoint::StateFileReader file(job.work.measurement(name), measurement_kind(name),
                                   job.fingerprint);
  MeasuredLayer record;
  record.layer = layer;
  record.damp = file.number("damp");
  record.seconds = file.number("seconds");
  record.damping_tries = file.integer("damping_tries");
  record.method = static_cast<kernels::FactorMethod>(file.integer("factor_method"));
  record.dead_inputs = file.integer("dead_inputs");
  record.err = file.read<double>("err");
  record.flushed_groups = file.read<std::int64_t>("flushed_groups");
  record.options = file.read<std::int64_t>("options");
  return record;
}

bool record_is_usable(const Job& job, const std::string& name) {
  return is_usable_state(job.work.measurement(name), measurement_kind(name), job.fingerprint,
                         job.work.borrows_measurement());
}

// Names, without their ending, of the files of measured parts that are there, sorted.
std::vector<std::string> list_parts(const Job& job) {
  std::vector<std::string> names;
  std::error_code error;
  const fs::path folder = job.work.measurement("any").parent_path();
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path path = entry->path();
    const std::string name = path.stem().string();
    if (path.extension() == ".h5" && name.find(kPartMark) != std::string::npos) {
      names.push_back(name);
    }
  }
  if (error) checkpoint::fail_reading(folder, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

// Of one layer.
std::vector<std::string> list_parts_of(const Job& job, std::int64_t layer) {
  const std::string beginning = job.model.layer(layer).key + std::string(kPartMark);
  std::vector<std::string> names = list_parts(job);
  std::erase_if(names, [&](const std::string& name) { return !name.starts_with(beginning); });
  return names;
}

// Root's list on all ranks: they must divide the same one.
std::vector<std::string> agree_on_parts(const Ranks& ranks, const Job& job) {
  std::string lines;
  comm::on_root(ranks.comm, [&] {
    for (const std::string& name : list_parts(job)) lines += name + '\n';
  });
  lines = comm::broadcast_text(ranks.comm, std::move(lines));
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::size_t end = lines.find('\n', begin);
    names.push_back(lines.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

// is_whole(i) for this rank's share of 0 .. count - 1; then the answers of all.
template <class Check>
std::vector<bool> share_checks(comm::Communicator& comm, std::int64_t count, Check is_whole) {
  std::vector<std::byte> mine(static_cast<std::size_t>(count));
  comm::on_all(comm, [&] {
    for (std::int64_t i = comm.rank(); i < count; i += comm.size()) {
      mine[static_cast<std::size_t>(i)] = std::byte{is_whole(i)};
    }
  });
  return comm::any_of_ranks(comm, mine);
}

}  // namespace

bool is_usable_state(const fs::path& path, std::string_view kind, std::string_view fingerprint,
                     bool is_borrowed) {
  return is_borrowed ? checkpoint::state_file_is_valid(path, kind, fingerprint)
                     : checkpoint::state_file_is_usable(path, kind, fingerprint);
}

void save_hessian(const Job& job, std::int64_t group, const CalibratedGroup& calibrated) {
  checkpoint::StateFileWriter file(hessian_path(job, group), hessian_kind(job, group),
                                   job.hessians_fingerprint);
  file.add_integer("inputs", calibrated.hessian.size());
  file.write<float>("upper_triangle", calibrated.hessian.values());
  file.write<float>("sketches", calibrated.sketches);
  file.commit();
}

CalibratedGroup load_hessian(const Job& job, std::int64_t group) {
  checkpoint::StateFileReader file(hessian_path(job, group), hessian_kind(job, group),
                                   job.hessians_fingerprint);
  CalibratedGroup calibrated;
  calibrated.hessian = PackedHessian(job.model.group(group).inputs);
  file.read_into<float>("upper_triangle", calibrated.hessian.values());
  calibrated.sketches = file.read<float>("sketches");
  return calibrated;
}

void save_measurement(const Job& job, const MeasuredLayer& record) {
  const std::string name = job.model.layer(record.layer).key + part_suffix(record.options);
  checkpoint::StateFileWriter file(job.work.measurement(name), measurement_kind(name),
                                   job.fingerprint);
  file.add_number("damp", record.damp);
  file.add_number("seconds", record.seconds);
  file.add_integer("damping_tries", record.damping_tries);
  file.add_integer("factor_method", static_cast<std::int64_t>(record.method));
  file.add_integer("dead_inputs", record.dead_inputs);
  file.write<double>("err", record.err);
  file.write<std::int64_t>("flushed_groups", record.flushed_groups);
  file.write<std::int64_t>("options", record.options);
  file.commit();
}

bool has_measurement(const Job& job, std::int64_t layer) {
  return record_is_usable(job, job.model.layer(layer).key);
}

MeasuredLayer load_measurement(const Job& job, std::int64_t layer) {
  return load_record(job, layer, job.model.layer(layer).key);
}

std::vector<MeasuredLayer> load_measured_parts(const Job& job, std::int64_t layer) {
  std::vector<MeasuredLayer> records;
  for (const std::string& name : list_parts_of(job, layer)) {
    if (record_is_usable(job, name)) records.push_back(load_record(job, layer, name));
  }
  return records;
}

void remove_measured_parts(const Job& job, std::int64_t layer) {
  for (const std::string& name : list_parts_of(job, layer)) {
    std::error_code error;
    fs::remove(job.work.measurement(name), error);  // harmless where it stays
  }
}

std::vector<bool> find_kept_hessians(const RunContext& context) {
  return share_checks(
      context.comm, std::ssize(context.model.layout.groups), [&](std::int64_t group) {
        return is_usable_state(hessian_path(context, group), hessian_kind(context, group),
                               context.hessians_fingerprint, context.work.borrows_hessians());
      });
}

std::vector<bool> find_measured_options(const RunContext& context) {
  const auto layers = context.model.layout.linear_layers.size();
  const auto options = static_cast<std::size_t>(context.format.option_count());
  std::map<std::string, std::int64_t> layer_of;
  for (std::size_t l = 0; l < layers; ++l) {
    layer_of[context.model.layout.linear_layers[l].key] = static_cast<std::int64_t>(l);
  }
  const std::vector<std::string> parts = agree_on_parts(context, context);
  std::vector<std::byte> mine(layers * options);
  const auto measured = [&](std::int64_t layer, std::int64_t option) {
    mine[static_cast<std::size_t>(layer) * options + static_cast<std::size_t>(option)] =
        std::byte{1};
  };
  const auto share = static_cast<std::size_t>(context.comm.rank());
  const auto ranks = static_cast<std::size_t>(context.comm.size());
  comm::on_all(context.comm, [&] {
    for (std::size_t l = share; l < layers; l += ranks) {
      const auto layer = static_cast<std::int64_t>(l);
      if (!record_is_usable(context, context.model.layer(layer).key)) continue;
      for (std::size_t o = 0; o < options; ++o) measured(layer, static_cast<std::int64_t>(o));
    }
    for (std::size_t p = share; p < parts.size(); p += ranks) {
      const auto found = layer_of.find(parts[p].substr(0, parts[p].find(kPartMark)));
      if (found == layer_of.end() || !record_is_usable(context, parts[p])) continue;
      for (const std::int64_t option : load_record(context, found->second, parts[p]).options) {
        if (option >= 0 && option < context.format.option_count()) measured(found->second, option);
      }
    }
  });
  return comm::any_of_ranks(context.comm, mine);
}

}  // namespace shardquant::waves
