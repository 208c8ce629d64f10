#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>

namespace shardquant::commands {

/// What is wrong with a command line that `app` refused: a misspelt command or option with the one
/// that was most likely meant, and which help tells more. words: the command line, the program's
/// name first.
std::string usage_error(CLI::App& app, std::span<char* const> words, const CLI::ParseError& error);

}  // namespace shardquant::commands
