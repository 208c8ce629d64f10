#include "pipeline/config/settings_reference.hpp"

#include <fmt/format.h>

#include "pipeline/config/settings_table.hpp"

namespace shardquant::config {

namespace {

constexpr const char* kIntroduction = R"(# Settings of a job file

Generated from the settings table in `pipeline/config/settings_table.cpp` by the build target
`update_settings_reference`; a test compares the two.

A job file is one YAML document (schema version 1) of at most 1 MiB: a map of sections, each a map
of settings. Any setting can be given on the command line as well, as `-s allocate.bpw=3.5`; the
last one given counts. `resolved.yaml` in the work folder holds the job with every setting spelled
out.

Rules, each broken one being an error with its place, `file:line:column: key: reason`, and exit
code 78:

- Unknown and duplicate keys are errors, and so are settings that are missing and have no default.
- Numbers are decimal: no leading zeros, no `0x`, no `_`, no `1:30`, no `nan` or `inf`. A quoted
  value is text, never a number.
- UTF-8 without a byte order mark. No tabs, anchors, aliases, tags, merge keys, second documents.
- Relative paths are relative to the folder of the job file, those of `-s` to the current folder.
  `~` and variables are not expanded.
)";

std::string default_text(const Setting& setting) {
  if (setting.required) return "required";
  if (!has_value(setting, RunConfig{})) return "none";
  std::string value = value_text(setting, RunConfig{});
  for (std::size_t at = 0; (at = value.find('|', at)) != std::string::npos; at += 2) {
    value.insert(at, 1, '\\');  // would end the cell of the table
  }
  return fmt::format("`{}`", value);
}

}  // namespace

std::string settings_reference() {
  std::string text = kIntroduction;
  constexpr const char* kHead = "\n| setting | takes | default | |\n|---|---|---|---|\n";
  std::string section;
  text += "\n## At the top\n";
  text += kHead;
  for (const Setting& setting : settings_table()) {
    if (setting.section() != section) {
      section = setting.section();
      text += fmt::format("\n## {}\n{}", section, kHead);
    }
    text += fmt::format("| `{}` | {} | {} | {} |\n", setting.path, allowed_values(setting),
                        default_text(setting), setting.description);
  }
  return text;
}

}  // namespace shardquant::config
