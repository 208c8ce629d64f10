#include "pipeline/commands/describe_commands.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <vector>

#include "pipeline/failure.hpp"

namespace shardquant::commands {

namespace {

// A command, or one of its own; `name` as it is called: "sweep run", empty for the program.
struct Described {
  std::string name;
  CLI::App* app;
};

std::vector<CLI::App*> parts_of(CLI::App& app) {
  return app.get_subcommands([](const CLI::App* part) { return !part->get_name().empty(); });
}

std::vector<CLI::App*> option_groups_of(CLI::App& app) {
  return app.get_subcommands([](const CLI::App* part) { return part->get_name().empty(); });
}

std::vector<Described> all_commands(CLI::App& app) {
  std::vector<Described> commands = {{"", &app}};
  for (std::size_t i = 0; i < commands.size(); ++i) {
    const Described from = commands[i];
    for (CLI::App* part : parts_of(*from.app)) {
      commands.push_back(
          {from.name.empty() ? part->get_name() : from.name + ' ' + part->get_name(), part});
    }
  }
  return commands;
}

// Those in groups included; not those hidden from the help.
std::vector<const CLI::Option*> options_of(CLI::App& app) {
  std::vector<const CLI::Option*> options;
  const auto shown = [](const CLI::Option* option) { return !option->get_group().empty(); };
  for (const CLI::Option* option : app.get_options(shown)) options.push_back(option);
  for (CLI::App* group : option_groups_of(app)) {
    for (const CLI::Option* option : group->get_options(shown)) options.push_back(option);
  }
  return options;
}

std::vector<std::string> flags_of(const CLI::Option& option) {
  std::vector<std::string> flags;
  for (const std::string& name : option.get_snames()) flags.push_back('-' + name);
  for (const std::string& name : option.get_lnames()) flags.push_back("--" + name);
  return flags;
}

std::vector<std::string> words_of(CLI::App& app) {
  std::vector<std::string> words;
  for (const CLI::App* part : parts_of(app)) words.push_back(part->get_name());
  for (const CLI::Option* option : options_of(app)) {
    for (std::string& flag : flags_of(*option)) words.push_back(std::move(flag));
  }
  return words;
}

// The lines of a shell's `case` that follow the commands on a line, and those that know the words.
std::string follow_cases(const std::vector<Described>& commands) {
  std::vector<std::string> paths;
  for (const Described& command : commands) {
    if (!command.name.empty()) paths.push_back(fmt::format("\"{}\"", command.name));
  }
  return fmt::format("{}", fmt::join(paths, "|"));
}

std::string word_cases(const std::vector<Described>& commands) {
  std::string text;
  for (const Described& command : commands) {
    text += fmt::format("    \"{}\") choices=\"{}\" ;;\n", command.name,
                        fmt::join(words_of(*command.app), " "));
  }
  return text;
}

// Files are offered where no option or command is being written.
constexpr const char* kBash = R"(# bash completion of shardquant
_shardquant() {{
  local path="" choices="" word=${{COMP_WORDS[COMP_CWORD]}} i next
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="${{path:+$path }}${{COMP_WORDS[i]}}"
    case $next in
      {follow}) path=$next ;;
    esac
  done
  case $path in
{words}  esac
  mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
  if [[ $word != -* && -n $path ]]; then
    mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -f -- "$word")
  fi
}}
complete -o filenames -F _shardquant shardquant
)";

constexpr const char* kZsh = R"(#compdef shardquant
local path_ choices next_ i
for ((i = 2; i < CURRENT; i++)); do
  next_="${{path_:+$path_ }}${{words[i]}}"
  case $next_ in
    {follow}) path_=$next_ ;;
  esac
done
case $path_ in
{words}esac
compadd -- ${{(s: :)choices}}
[[ -z $path_ ]] || _files
)";

std::string fish_quote(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_script(const std::vector<Described>& commands) {
  std::string text = "# fish completion of shardquant\n";
  for (const Described& command : commands) {
    std::string when = "__fish_use_subcommand";
    if (!command.name.empty()) {
      when.clear();
      for (std::size_t at = 0; at <= command.name.size();) {
        const std::size_t end = std::min(command.name.find(' ', at), command.name.size());
        if (!when.empty()) when += "; and ";
        when += "__fish_seen_subcommand_from " + command.name.substr(at, end - at);
        at = end + 1;
      }
    }
    for (const CLI::App* part : parts_of(*command.app)) {
      text += fmt::format("complete -c shardquant -n '{}' -a {} -d {}\n", when, part->get_name(),
                          fish_quote(part->get_description()));
    }
    for (const CLI::Option* option : options_of(*command.app)) {
      if (option->get_positional()) continue;
      text += fmt::format("complete -c shardquant -n '{}'", when);
      for (const std::string& name : option->get_snames()) text += " -s " + name;
      for (const std::string& name : option->get_lnames()) text += " -l " + name;
      if (option->get_items_expected_max() > 0) text += " -r";
      text += fmt::format(" -d {}\n", fish_quote(option->get_description()));
    }
  }
  return text;
}

// Text as man(7) wants it: no hyphen that becomes a dash, no line that is taken for a request.
std::string man_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string man_options(CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : options_of(app)) {
    std::string head = fmt::format("{}", fmt::join(flags_of(*option), ", "));
    if (head.empty()) head = option->get_name(true);
    if (option->get_items_expected_max() > 0 && !option->get_positional()) head += " VALUE";
    text += fmt::format(".TP\n.B {}\n{}\n", man_text(head), man_text(option->get_description()));
  }
  return text;
}

constexpr const char* kManEnd = R"(.SH EXIT STATUS
0 done; 64 usage; 65 bad data; 66 input missing; 69 launch or device unusable; 70 a fault of the
program; 73 output exists or cannot be created; 74 reading or writing failed; 75 stopped in an
orderly way, run the same command again; 77 no permission; 78 a setting is wrong.
.SH ENVIRONMENT
.TP
.B SHARDQUANT_CUDA_MODULE
File of the CUDA back end, in place of the one that was installed with the program.
.TP
.B OPENBLAS_CORETYPE
Set of vector instructions of OpenBLAS; the program chooses one where OpenBLAS does not know the
processor.
.TP
.B HF_HUB_CACHE, HF_HOME
Where the cache of the Hugging Face Hub lies.
)";

}  // namespace

std::string completion_script(CLI::App& app, const std::string& shell) {
  const std::vector<Described> commands = all_commands(app);
  const char* frame = shell == "bash" ? kBash : shell == "zsh" ? kZsh : nullptr;
  if (frame != nullptr) {
    return fmt::format(fmt::runtime(frame), fmt::arg("follow", follow_cases(commands)),
                       fmt::arg("words", word_cases(commands)));
  }
  if (shell == "fish") return fish_script(commands);
  fail(ExitCode::usage, "no completion for {}; there is one for bash, zsh and fish", shell);
}

std::string manual_page(CLI::App& app) {
  std::string text = fmt::format(
      ".TH SHARDQUANT 1 \"\" \"shardquant {}\"\n"
      ".SH NAME\nshardquant \\- {}\n"
      ".SH SYNOPSIS\n.B shardquant\nCOMMAND [OPTIONS]\n"
      ".SH COMMANDS\n",
      SHARDQUANT_VERSION, man_text(app.get_description()));
  for (const Described& command : all_commands(app)) {
    if (command.name.empty()) continue;
    text += fmt::format(".SS {}\n{}\n{}", man_text(command.name),
                        man_text(command.app->get_description()), man_options(*command.app));
    text += fmt::format(".PP\n.nf\n{}\n.fi\n", man_text(command.app->get_footer()));
  }
  return text + kManEnd;
}

}  // namespace shardquant::commands
