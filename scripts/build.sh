#!/usr/bin/env bash
# Installs what is missing and builds one preset (default: release). Usage: scripts/build.sh [PRESET]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}

scripts/install_debian.sh
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset"
