#include "pipeline/config/job_text.hpp"

#include <cerrno>
#include <fstream>
#include <system_error>

#include "pipeline/config/yaml_tree.hpp"

namespace shardquant::config {

namespace fs = std::filesystem;

std::string read_job_text(const fs::path& file) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (status.type() == fs::file_type::not_found) {
    fail(ExitCode::no_input, "{}: no such job file", file.string());
  }
  if (!error && !fs::is_regular_file(status)) {
    fail(ExitCode::no_input, "{}: not a file; a job file is needed", file.string());
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    const int reason = errno;
    const bool forbidden = reason == EACCES || reason == EPERM;
    fail(forbidden ? ExitCode::no_permission : ExitCode::io_error, "{}: cannot be opened: {}",
         file.string(), std::generic_category().message(reason));
  }
  // One byte more than a job file may have, whatever the file's size says.
  std::string text(static_cast<std::size_t>(YamlLimits{}.bytes + 1), '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) fail(ExitCode::io_error, "{}: cannot be read", file.string());
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

}  // namespace shardquant::config
