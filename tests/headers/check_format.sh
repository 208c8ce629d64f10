#!/usr/bin/env bash
# Fails where clang-format 14, the version the repository is formatted with, would change a file.
# Exit 77 (skipped) where it is not installed. Usage: check_format.sh ROOT
set -euo pipefail
cd "$1"
for program in clang-format-14 clang-format; do
  if version=$("$program" --version 2>/dev/null) && [[ $version == *"version 14."* ]]; then
    find kernels solver pipeline tests -type f \
      \( -name '*.hpp' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
      LC_ALL=C sort -z | xargs -0 -n 32 "$program" --dry-run -Werror
    exit
  fi
done
echo "clang-format 14 is not installed"
exit 77
