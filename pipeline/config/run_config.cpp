#include "pipeline/config/run_config.hpp"

#include <cerrno>
#include <fstream>
#include <system_error>

#include "pipeline/config/apply_settings.hpp"
#include "pipeline/config/settings_table.hpp"
#include "pipeline/config/yaml_tree.hpp"

namespace shardquant::config {

namespace {

namespace fs = std::filesystem;

// At most one byte more than a job file may have, whatever the file's size says.
std::string read_text(const fs::path& file) {
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
  std::string text(static_cast<std::size_t>(YamlLimits{}.bytes + 1), '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) fail(ExitCode::io_error, "{}: cannot be read", file.string());
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

}  // namespace

RunConfig read_run_config(const fs::path& file, const std::vector<std::string>& overrides) {
  return parse_run_config(read_text(file), file.string(), fs::absolute(file).parent_path(),
                          overrides);
}

RunConfig parse_run_config(const std::string& text, const std::string& name, const fs::path& folder,
                           const std::vector<std::string>& overrides) {
  SettingsReader reader;
  reader.apply_file(parse_yaml(text, name), name, fs::absolute(folder));
  for (const std::string& override_text : overrides) reader.apply_override(override_text);
  return reader.finish();
}

std::string resolved_text(const RunConfig& config) {
  std::string text;
  std::string section;
  for (const Setting& setting : settings_table()) {
    if (!setting.required && !has_value(setting, config)) continue;
    if (setting.section() != section) {
      section = setting.section();
      text += section + ":\n";
    }
    text += fmt::format("{}{}: {}\n", section.empty() ? "" : "  ", setting.key(),
                        value_text(setting, config));
  }
  return text;
}

}  // namespace shardquant::config
