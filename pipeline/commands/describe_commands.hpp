#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace shardquant::commands {

/// A script that completes the commands and options of `app` in a shell: bash, zsh or fish.
/// @throws Failure(usage) for another shell
std::string completion_script(CLI::App& app, const std::string& shell);

/// The manual page of `app` as man(7) source, made of what its help says.
std::string manual_page(CLI::App& app);

}  // namespace shardquant::commands
