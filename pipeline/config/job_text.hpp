#pragma once

#include <filesystem>
#include <string>

namespace shardquant::config {

/// What a job file holds, but not more than one byte beyond what parse_yaml accepts.
/// @throws Failure: no_input, no_permission, io_error
std::string read_job_text(const std::filesystem::path& file);

}  // namespace shardquant::config
