#!/usr/bin/env bash
# Fails where shellcheck finds fault with a script that users or CI run, or where the batch scripts
# differ in what they have in common. Exit 77 (skipped) without shellcheck. Usage: check_scripts.sh ROOT
set -euo pipefail
cd "$1"

# The lines from a pattern to another, of one script.
part() { sed -n "/$2/,/$3/p" "$1"; }
first=
for script in slurm/*.sbatch; do
  common=$(part "$script" '^cd ' '^fi$'; part "$script" '^# srun no longer' '^# shellcheck'
           part "$script" '^step=' '^done$')
  [[ $(wc -l <<<"$common") -ge 25 ]] || { echo "$script: the common lines are not there"; exit 1; }
  if [[ -z $first ]]; then
    first=$script wanted=$common
  elif [[ $common != "$wanted" ]]; then
    diff <(echo "$wanted") <(echo "$common") | sed "s|^|$first, $script: |"
    exit 1
  fi
done

command -v shellcheck >/dev/null || {
  echo "SKIPPED: shellcheck is not installed (scripts/install_debian.sh --tests)"
  exit 77
}
shellcheck slurm/*.sbatch slurm/*.sh scripts/*.sh tests/slurm/*.sh .ci/run
