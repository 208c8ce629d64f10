#!/usr/bin/env bash
# Lists every include that the rules do not allow, as FILE:LINE: text, and fails if there is one.
# Usage: check_includes.sh ROOT [RULES]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rules=$(realpath "${2:-$here/include_rules.txt}")
cd "$1"

find kernels solver pipeline -type f \
  \( -name '*.hpp' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) | LC_ALL=C sort |
  awk -v rules="$rules" '
    function trim(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }
    # A shell pattern as a regular expression; "*" stays within one folder.
    function expression(pattern) {
      gsub(/[.+]/, "\\\\&", pattern)
      gsub(/\*/, "[^/]*", pattern)
      return "^" pattern "$"
    }
    function folder_of(path) { sub(/\/[^\/]*$/, "", path); return path }
    # Whether `header` is one of the words of `list`: folders, headers or patterns.
    function is_listed(header, list,   words, count, i) {
      count = split(list, words, " ")
      for (i = 1; i <= count; ++i) {
        if (header == words[i] || folder_of(header) == words[i]) return 1
        if (header ~ expression(words[i])) return 1
        if (words[i] == "posix" && header ~ posix) return 1
      }
      return 0
    }
    function breach(text) { printf "%s:%d: %s\n", file, line, text; ++breaches }
    function check(header, quoted,   top) {
      top = header
      sub(/\/.*/, "", top)
      if (top == "tests") { breach("includes \"" header "\": nothing includes tests"); return }
      if (top == "kernels" || top == "solver" || top == "pipeline") {
        if (folder_of(header) != folder_of(file) && !is_listed(header, project[rule])) {
          breach("includes \"" header "\"; " folder_of(file) " may include: " \
                 (project[rule] == "" ? "nothing of the project" : project[rule]))
        }
        return
      }
      if (quoted) { breach("includes \"" header "\": paths start at the repository root"); return }
      if (header ~ /^[a-z0-9_]+$/) return   # the C++ standard library
      if (!is_listed(header, other[rule])) {
        breach("includes <" header ">, which belongs elsewhere (" rules ")")
      }
    }
    BEGIN {
      posix = "^(unistd|fcntl|dirent|sched|signal|stdio|sys/[a-z]+)\\.h$"
      while ((getline text < rules) > 0) {
        if (text ~ /^[ \t]*(#|$)/) continue
        if (split(text, part, "|") != 4) { print rules ": bad rule: " text; exit 2 }
        files[++count] = expression(trim(part[1]))
        project[count] = trim(part[2])
        other[count] = trim(part[3])
        conditionals[count] = trim(part[4])
      }
    }
    {
      file = $0
      line = 0
      rule = 0
      for (i = 1; i <= count && !rule; ++i) if (file ~ files[i]) rule = i
      if (!rule) { breach("no rule covers this folder: add one to " rules); next }
      while ((getline text < file) > 0) {
        ++line
        if (text ~ /^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)([ \t(!]|$)/ && conditionals[rule] != "yes") {
          breach("conditional compilation; only kernels/make_backend.cpp knows what was built")
        }
        if (text !~ /^[ \t]*#[ \t]*include/) continue
        header = text
        sub(/^[ \t]*#[ \t]*include[ \t]*/, "", header)
        quoted = header ~ /^"/
        if (header !~ /^["<]/) { breach("includes by macro"); continue }
        header = substr(header, 2)
        sub(/[">].*$/, "", header)
        check(header, quoted)
      }
      close(file)
    }
    END { exit breaches > 0 }'
