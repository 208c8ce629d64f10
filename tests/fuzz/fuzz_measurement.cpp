// Feeds arbitrary bytes to the readers of measurements, of both schemas. Whatever is accepted is
// written and read again, and small ones are allocated: only a Failure may come out of any of it.

#include <cstdint>
#include <string_view>

#include "pipeline/allocation/allocate.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/records/measurement_file_2024.hpp"
#include "tests/fuzz/scratch_folder.hpp"

namespace {

using namespace shardquant;
using fuzz::require;

void allocate_lightly(const allocation::AllocationInput& input) {
  constexpr std::size_t kMaxLayers = 12;
  if (input.layers.size() > kMaxLayers) return;
  std::int64_t bits = 0;
  for (const auto& layer : input.layers) bits += layer.options.front().bits;
  for (const std::string& objective : allocation::objective_names()) {
    allocation::AllocationRequest request;
    request.budget = allocation::Budget::total_bits(bits);
    request.objective = objective;
    try {
      allocation::allocate(input, request);
    } catch (const Failure& failure) {
      require(failure.code() != ExitCode::internal);
    }
  }
}

void try_measurement(std::string_view text) {
  const records::AnyMeasurement any = records::parse_measurement(text, "fuzz");
  if (const auto* measurement = std::get_if<records::Measurement>(&any)) {
    const std::string written = records::measurement_2023_text(*measurement);
    require(records::parse_measurement_2023(written, "again") == *measurement);
    allocate_lightly(allocation::allocation_input(*measurement, "fuzz"));
  } else {
    const auto& modules = std::get<records::Measurement2024>(any);
    const std::string written = records::measurement_2024_text(modules);
    require(records::parse_measurement_2024(written, "again").modules == modules.modules);
    const std::vector<std::int64_t> numel(modules.modules.size(), 1'000'000);
    allocate_lightly(allocation::allocation_input(modules, numel, "fuzz"));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    try_measurement(text);
  } catch (const Failure& failure) {
    require(failure.code() == ExitCode::bad_data);
  }
  return 0;
}
