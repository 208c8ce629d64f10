#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/waves/measure_group.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::waves {

// State files of Hessian groups and of measured layers in the work folder, each written once and
// whole.

/// Whether a whole and undamaged state file of that kind and run is there. A damaged one is
/// renamed, but left as it is where it is borrowed: it is for the job of that folder to mend.
bool is_usable_state(const std::filesystem::path& path, std::string_view kind,
                     std::string_view fingerprint, bool is_borrowed);

/// The group's Hessian, and its sketches where there are any. @throws Failure(io_error)
void save_hessian(const Job& job, std::int64_t group, const CalibratedGroup& calibrated);
/// @throws Failure(bad_data) where the file is damaged or of another run
CalibratedGroup load_hessian(const Job& job, std::int64_t group);

/// A record of all options of a layer, or of a part of them, which has the options in its name.
void save_measurement(const Job& job, const MeasuredLayer& record);
/// Whether the record of all options is there, whole and undamaged.
bool has_measurement(const Job& job, std::int64_t layer);
/// That record.
MeasuredLayer load_measurement(const Job& job, std::int64_t layer);
/// Records of parts of the layer's options, those that are whole and undamaged.
std::vector<MeasuredLayer> load_measured_parts(const Job& job, std::int64_t layer);
/// Removes the files of such records, once the record of all options is there.
void remove_measured_parts(const Job& job, std::int64_t layer);

/// By group: whether a whole and undamaged Hessian of this run is there. Every rank checks its
/// share and all get the whole answer; a damaged file is renamed, never deleted. Collective.
std::vector<bool> find_kept_hessians(const RunContext& context);
/// The same of measurements: by layer * options + option, from records of all or of a part of a
/// layer's options.
std::vector<bool> find_measured_options(const RunContext& context);

}  // namespace shardquant::waves
