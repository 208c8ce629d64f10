#include "pipeline/config/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "pipeline/config/apply_settings.hpp"
#include "pipeline/config/job_text.hpp"
#include "pipeline/config/sweep_axes.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::config {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostPoints = 1000;

// What a measurement depends on: equal texts mean that it can be shared. Paths of the job's own
// folders and the size do not count.
std::string measurement_identity(RunConfig job) {
  job.allocate = {};
  job.output = {};
  job.work = {};
  return resolved_text(job);
}

// The same of the Hessians.
std::string calibration_identity(RunConfig job) {
  job.quantizer = {};
  job.sensitivity = {};
  job.measure.options = {};
  return measurement_identity(std::move(job));
}

// By axis the index of its value, for every point.
std::vector<std::vector<std::size_t>> choose_values(const SweepAxes& sweep) {
  std::vector<std::vector<std::size_t>> choices{{}};
  if (sweep.zipped) {
    choices.clear();
    for (std::size_t i = 0; i < sweep.axes.front().values.size(); ++i) {
      choices.emplace_back(sweep.axes.size(), i);
    }
    return choices;
  }
  for (const SweepAxis& axis : sweep.axes) {
    std::vector<std::vector<std::size_t>> longer;
    for (const auto& choice : choices) {
      for (std::size_t i = 0; i < axis.values.size() && longer.size() <= kMostPoints; ++i) {
        longer.push_back(choice);
        longer.back().push_back(i);
      }
    }
    choices = std::move(longer);
  }
  return choices;
}

const YamlNode& head_bits_at(const HeadBitsRule& rule, double bpw) {
  for (const auto& [threshold, value] : rule.above) {
    if (bpw > threshold) return value;
  }
  return rule.otherwise;
}

std::string joined(const std::vector<std::pair<std::string, std::string>>& values) {
  std::string name;
  for (const auto& [key, value] : values) {
    name += fmt::format("{}{}-{}", name.empty() ? "" : "_", key, value);
  }
  return name;
}

// Makes the jobs of one job file.
class SweepReader {
 public:
  SweepReader(YamlNode root, std::string name, fs::path folder,
              const std::vector<std::string>& overrides)
      : root_(std::move(root)),
        name_(std::move(name)),
        folder_(std::move(folder)),
        overrides_(overrides) {}

  Sweep read() {
    const YamlEntry* entry = find_entry(root_, kSweepKey);
    if (entry == nullptr) {
      fail_at(name_, root_.place, kSweepKey,
              "missing; the job is a single one, see `shardquant run`");
    }
    place_ = entry->place;
    axes_ = read_sweep_axes(entry->value, name_);
    std::erase_if(root_.entries, [](const YamlEntry& other) { return other.key == kSweepKey; });
    refuse_swept_overrides();
    const auto choices = choose_values(axes_);
    if (choices.size() > kMostPoints) {
      fail_at(name_, place_, kSweepKey, fmt::format("has more than {} points", kMostPoints));
    }
    for (const auto& choice : choices) add_point(choice);
    return std::move(sweep_);
  }

 private:
  void refuse_swept_overrides() const {
    for (const std::string& text : overrides_) {
      const std::string path = text.substr(0, text.find('='));
      const std::string key = sweep_name(path);
      const bool by_rule = key == "head_bits" && axes_.head_bits.has_value();
      const bool by_list = std::any_of(axes_.axes.begin(), axes_.axes.end(),
                                       [&](const SweepAxis& axis) { return axis.name == key; });
      if (!by_rule && !by_list) continue;
      fail(ExitCode::config, "-s {}: the sweep of {} sets it; change it there (sweep.{})", path,
           name_, key);
    }
  }

  void add_point(const std::vector<std::size_t>& choice) {
    SettingsReader reader;
    reader.apply_file(root_, name_, folder_);
    for (const std::string& text : overrides_) reader.apply_override(text);
    for (std::size_t a = 0; a < choice.size(); ++a) {
      const SweepAxis& axis = axes_.axes[a];
      reader.apply_value(*axis.setting, axis.values[choice[a]], joined_path(kSweepKey, axis.name));
    }
    SweepPoint point;
    point.job = reader.finish();
    if (axes_.head_bits) {
      reader.apply_value(*find_setting(kHeadBitsPath),
                         head_bits_at(*axes_.head_bits, point.job.allocate.bpw),
                         joined_path(kSweepKey, "head_bits"));
      point.job = reader.finish();
    }
    if (!point.job.work.measured_in.empty() || !point.job.work.hessians_in.empty()) {
      fail_at(name_, place_, kSweepKey,
              "shares measurements by itself; take out work.measured_in and work.hessians_in");
    }
    for (const SweepAxis& axis : axes_.axes) {
      point.values.emplace_back(axis.name, value_text(*axis.setting, point.job));
    }
    point.name = joined(point.values);
    if (!names_.insert(point.name).second) {
      fail_at(name_, place_, kSweepKey, fmt::format("has the point {} twice", point.name));
    }
    sweep_.points.push_back(std::move(point));
  }

  YamlNode root_;
  std::string name_;
  fs::path folder_;
  const std::vector<std::string>& overrides_;
  YamlPlace place_;
  SweepAxes axes_;
  std::set<std::string> names_;
  Sweep sweep_;
};

// The values of a point that its measurement depends on.
std::string measurement_name(const SweepPoint& point) {
  std::vector<std::pair<std::string, std::string>> values;
  for (const auto& value : point.values) {
    if (sweeps_measurement(value.first)) values.push_back(value);
  }
  return joined(values);
}

// Finds what can be shared, and gives every job its folders.
void share_measurements(Sweep& sweep) {
  const fs::path& work = sweep.work_dir;
  std::map<std::string, std::size_t> measurements;
  std::vector<std::string> names;
  for (SweepPoint& point : sweep.points) {
    const auto [found, is_new] =
        measurements.emplace(measurement_identity(point.job), sweep.measurements.size());
    point.measurement = found->second;
    if (is_new) {
      sweep.measurements.push_back(point.job);
      names.push_back(measurement_name(point));
    }
    // With a head that any of its points quantizes, the measurement keeps the head's Hessian.
    auto& head_bits = sweep.measurements[point.measurement].allocate.head_bits;
    head_bits = std::min(head_bits, point.job.allocate.head_bits);
    // Likewise with an objective that any of its points needs sensitivities for.
    if (point.job.wants_sensitivities()) {
      sweep.measurements[point.measurement].allocate.objective = point.job.allocate.objective;
    }
  }
  std::map<std::string, std::size_t> calibrations;
  for (std::size_t m = 0; m < sweep.measurements.size(); ++m) {
    RunConfig& job = sweep.measurements[m];
    if (sweep.measurements.size() > 1) job.work.dir = work / "measured" / names[m];
    const auto [found, is_new] = calibrations.emplace(calibration_identity(job), m);
    if (is_new) continue;
    RunConfig& lender = sweep.measurements[found->second];
    job.work.hessians_in = lender.work.dir;
    lender.allocate.head_bits = std::min(lender.allocate.head_bits, job.allocate.head_bits);
  }
  for (SweepPoint& point : sweep.points) {
    const RunConfig::Work& shared = sweep.measurements[point.measurement].work;
    point.job.output.dir /= point.name;
    point.job.work = {work / "points" / point.name, shared.dir, shared.hessians_in};
  }
}

}  // namespace

bool is_sweep(const fs::path& file) {
  return find_entry(parse_yaml(read_job_text(file), file.string()), kSweepKey) != nullptr;
}

Sweep read_sweep(const fs::path& file, const std::vector<std::string>& overrides) {
  return parse_sweep(read_job_text(file), file.string(), fs::absolute(file).parent_path(),
                     overrides);
}

Sweep parse_sweep(const std::string& text, const std::string& name, const fs::path& folder,
                  const std::vector<std::string>& overrides) {
  Sweep sweep = SweepReader(parse_yaml(text, name), name, fs::absolute(folder), overrides).read();
  sweep.output_dir = sweep.points.front().job.output.dir;
  sweep.work_dir = sweep.points.front().job.work.dir;
  share_measurements(sweep);
  return sweep;
}

}  // namespace shardquant::config
