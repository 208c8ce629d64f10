#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/config/run_config.hpp"

namespace shardquant::config {

/// The section of a job file that makes a sweep of it.
inline constexpr const char* kSweepKey = "sweep";

/// One job of a sweep.
struct SweepPoint {
  std::string name;  ///< "bpw-4.25_objective-nll": of its folders
  /// What the sweep set, in the order of the file: {"bpw", "4.25"}.
  std::vector<std::pair<std::string, std::string>> values;
  RunConfig job;                ///< an ordinary job: its own output.dir and work.dir, measured_in
  std::size_t measurement = 0;  ///< index into Sweep::measurements
};

/// A job file that stands for several jobs. Points with the same model, calibration and quantizer
/// share a measurement; measurements with the same calibration share its Hessians.
///
///     output.dir/POINT             a point's output
///     work.dir                     the measurement, where all points share one, else
///     work.dir/measured/VALUES     each of them, the first of a calibration having its Hessians
///     work.dir/points/POINT        a point's own state
struct Sweep {
  std::filesystem::path output_dir;     ///< for what is said of all points
  std::filesystem::path work_dir;       ///< with the work folders of all its jobs
  std::vector<SweepPoint> points;       ///< numbered from 0; the last axis changes fastest
  std::vector<RunConfig> measurements;  ///< to be measured once each, in this order
};

/// Whether the file has the section. @throws as read_run_config
bool is_sweep(const std::filesystem::path& file);

/// Reads and checks the job file of a sweep and the overrides of the command line, which count for
/// all points and may not name what the sweep sets. At most 1000 points, all different.
/// @throws Failure as read_run_config; config where the file has no sweep
Sweep read_sweep(const std::filesystem::path& file, const std::vector<std::string>& overrides);

/// The same from text, as parse_run_config.
Sweep parse_sweep(const std::string& text, const std::string& name,
                  const std::filesystem::path& folder, const std::vector<std::string>& overrides);

}  // namespace shardquant::config
