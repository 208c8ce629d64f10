// Feeds arbitrary bytes to the reader of plans. What is accepted is written and read again.

#include <cstdint>
#include <string_view>

#include "pipeline/failure.hpp"
#include "pipeline/records/plan_file.hpp"
#include "tests/fuzz/scratch_folder.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shardquant;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const records::Plan plan = records::parse_plan(text, "fuzz");
    fuzz::require(records::parse_plan(records::plan_text(plan), "again") == plan);
  } catch (const Failure& failure) {
    fuzz::require(failure.code() == ExitCode::bad_data);
  }
  return 0;
}
