#include "pipeline/config/run_config.hpp"

#include "pipeline/config/apply_settings.hpp"
#include "pipeline/config/job_text.hpp"
#include "pipeline/config/settings_table.hpp"
#include "pipeline/config/sweep.hpp"

namespace shardquant::config {

namespace {

constexpr const char* kKlObjective = "kl";

}  // namespace

RunConfig read_run_config(const std::filesystem::path& file,
                          const std::vector<std::string>& overrides) {
  return parse_run_config(read_job_text(file), file.string(),
                          std::filesystem::absolute(file).parent_path(), overrides);
}

RunConfig parse_run_config(const std::string& text, const std::string& name,
                           const std::filesystem::path& folder,
                           const std::vector<std::string>& overrides) {
  const YamlNode root = parse_yaml(text, name);
  if (const YamlEntry* sweep = find_entry(root, kSweepKey)) {
    fail_at(name, sweep->place, kSweepKey,
            "the job is a sweep: its points are run with `shardquant sweep run`, what they share "
            "is measured with `shardquant measure`");
  }
  SettingsReader reader;
  reader.apply_file(root, name, std::filesystem::absolute(folder));
  for (const std::string& override_text : overrides) reader.apply_override(override_text);
  return reader.finish();
}

std::string output_identity(RunConfig job) {
  job.quantizer.max_rtn_layers = {};
  job.quantize = {};
  job.evaluation = {};
  job.work = {};
  job.checkpoint = {};
  job.device = {};
  return resolved_text(job);
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

std::string RunConfig::objective() const {
  const bool are_left_out = sensitivity.rows == 0 && measure.file.empty();
  return allocate.objective == kKlObjective && are_left_out ? "sum_squares" : allocate.objective;
}

bool RunConfig::wants_sensitivities() const {
  return objective() == kKlObjective && measure.file.empty() && allocate.plan.empty();
}

std::int64_t RunConfig::most_evaluation_rows() const {
  if (evaluation.rows == 0) return 0;
  return calibration.validation_rows > 0 ? calibration.validation_rows : evaluation.rows;
}

}  // namespace shardquant::config
