#pragma once

#include <CLI/CLI.hpp>

namespace shardquant::commands {

/// Ends the help of every command with examples of its own. @throws Failure(internal) for a command
/// that has none
void add_examples(CLI::App& app);

}  // namespace shardquant::commands
