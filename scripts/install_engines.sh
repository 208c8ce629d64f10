#!/usr/bin/env bash
# Makes the Python environment of the tests with label `engines`: the libraries that read what this
# program writes. About 6 GiB with torch, which PyPI has for CUDA only and which runs on a CPU.
# Usage: scripts/install_engines.sh [FOLDER]   (default: $SHARDQUANT_ENGINES, else build/engines)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-${SHARDQUANT_ENGINES:-build/engines}}

packages=(
  numpy==2.4.6
  gguf==0.19.0
  torch==2.15.0
  safetensors==0.8.0
  transformers==5.24.0
  compressed-tensors==0.20.0
)

python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"
"$folder/bin/python" -m pip list --disable-pip-version-check |
  grep -iE '^(numpy|gguf|torch|safetensors|transformers|compressed-tensors) '
echo "run the tests with: SHARDQUANT_ENGINES=$(realpath "$folder") ctest --preset ci -L engines"
