#!/usr/bin/env bash
# Installs what is missing, builds with warnings as errors and runs the everyday tests.
# Usage: scripts/test.sh [further ctest arguments, for example -L unit]
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build.sh ci
# The long runs have a label of their own: ctest --preset ci -L long
ctest --preset ci -LE long -j "$(nproc)" "$@"
