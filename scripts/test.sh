#!/usr/bin/env bash
# Installs what is missing, builds with warnings as errors and runs the everyday tests.
# Usage: scripts/test.sh [further ctest arguments, for example -L unit]
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build.sh ci
# The long runs have a label of their own: ctest --preset ci -L long
log=build/ci/test.log
status=0
ctest --preset ci -LE long -j "$(nproc)" "$@" 2>&1 | tee "$log" || status=$?
skipped=$(grep -c '_on_gpu (Skipped)' "$log" || true)
if ((skipped > 0)); then echo "$skipped test programs for a GPU were skipped: no device, or none that works"; fi
exit "$status"
