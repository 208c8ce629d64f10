#include "pipeline/commands/usage_error.hpp"

#include <fmt/format.h>

#include <vector>

#include "pipeline/config/nearest_name.hpp"

namespace shardquant::commands {

namespace {

std::string hint(const std::string& word, const std::vector<std::string>& names) {
  const std::string nearest = config::nearest_name(word, names);
  return nearest.empty() ? std::string(";") : fmt::format(", did you mean {}?", nearest);
}

std::vector<std::string> flags_of(CLI::App& command) {
  std::vector<std::string> flags;
  const auto add = [&flags](CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    }
  };
  add(command);
  for (CLI::App* part : command.get_subcommands({})) {
    if (part->get_name().empty()) add(*part);  // a group of options
  }
  return flags;
}

}  // namespace

std::string usage_error(CLI::App& app, std::span<char* const> words, const CLI::ParseError& error) {
  CLI::App* command = &app;
  std::string called = "shardquant";
  for (const std::string word : words.subspan(1)) {
    std::vector<std::string> names;
    CLI::App* next = nullptr;
    for (CLI::App* part : command->get_subcommands({})) {
      if (part->get_name().empty()) continue;
      names.push_back(part->get_name());
      if (part->get_name() == word) next = part;
    }
    if (names.empty()) break;
    if (word.starts_with('-')) continue;
    if (next == nullptr) {
      return fmt::format("{}: no command {}{} {} --help names all", called, word, hint(word, names),
                         called);
    }
    command = next;
    called += ' ' + word;
  }
  for (const std::string& extra : app.remaining(true)) {
    const std::string flag = extra.substr(0, extra.find('='));
    if (!flag.starts_with('-')) continue;
    return fmt::format("{}: no option {}{} {} --help names all", called, flag,
                       hint(flag, flags_of(*command)), called);
  }
  return fmt::format("{}: {}; see {} --help", called, error.what(), called);
}

}  // namespace shardquant::commands
