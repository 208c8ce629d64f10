#!/usr/bin/env bash
# Quantizes the embedded demo model on two MPI ranks and shows what came out.
# Installs what a bare Debian 12 lacks, builds, runs. Usage: scripts/demo.sh [BITS_PER_WEIGHT]
set -euo pipefail
cd "$(dirname "$0")/.."
bpw=${1:-4.0}

scripts/build.sh release
build=build/release
program=$build/pipeline/shardquant
out=$build/demo/out-$bpw
work=$build/demo/work
rm -rf "$out"
mkdir -p "$build/demo"

ranks=(mpirun -n 2 --oversubscribe)
if [[ $(id -u) -eq 0 ]]; then ranks+=(--allow-run-as-root); fi

"${ranks[@]}" "$program" run configs/demo/demo.yaml \
  -s allocate.bpw="$bpw" -s output.dir="$out" -s work.dir="$work"
"$program" verify "$out"

perplexity() {
  "${ranks[@]}" "$program" eval "$1" --tokens configs/demo/eval.i32 --length 256 --json |
    sed -n 's/.*"perplexity": *\([0-9.]*\).*/\1/p'
}
before=$(perplexity configs/demo/model)
after=$(perplexity "$out")
# The resolved figures of the run, from the plan beside the weights.
field() { sed -n "s/^ *\"$1\": *\([0-9.]*\),*$/\1/p" "$out/plan.json" | head -n 1; }
options=$(grep -o '"desc"' "$out/measurement.json" | wc -l)

echo
printf '%-34s %s\n' \
  "options measured" "$options" \
  "bits per weight asked" "$bpw" \
  "bits per weight achieved" "$(field bpw)" \
  "perplexity before" "$before" \
  "perplexity after" "$after" \
  "output" "$out"
