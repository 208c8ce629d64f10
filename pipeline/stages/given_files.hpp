#pragma once

#include <string>

#include "pipeline/records/measurement_file.hpp"
#include "pipeline/waves/run_context.hpp"

namespace shardquant::stages {

/// A measurement that the job brings along, with its text as it lies on disk.
struct GivenMeasurement {
  std::string text;
  records::Measurement measurement;
};

/// Reads `measure.file`. @throws Failure: no_input; bad_data where it is no measurement of the 2023
/// schema, one of another model, or has an option that this program does not quantize with
GivenMeasurement read_given_measurement(const waves::RunContext& context);

/// The text of `allocate.plan`. @throws Failure: no_input; bad_data as above
std::string read_given_plan(const waves::RunContext& context);

/// Reads what the job brings along for measuring and allocating and throws it away: what is wrong
/// with it is told before any work. Collective. @throws SharedFailure as these, config for texts
void check_given_files(const waves::RunContext& context);

}  // namespace shardquant::stages
