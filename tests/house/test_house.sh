#!/usr/bin/env bash
# A family and a weight format that the program does not know, each of one file and a row in its table,
# go through plan, calibrate, measure, allocate, quantize, evaluate, verify and eval; the family in EXL2's
# options too, which its reader does not know: refused by name before any work. Same bytes on 3 ranks.
# Usage: test_house.sh PROGRAM MAKE_MODEL, both with the tables of this folder
set -euo pipefail
program=$1
make_model=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
sum_of() { (cd "$1" && find . -type f | sort | xargs sha256sum | sha256sum | cut -d' ' -f1); }

"$make_model" model --family SideBySideForCausalLM --hidden 64 --heads 4 --kv-heads 2 --ffn 96 --layers 3 \
  --vocab 90 --tokens-file tokens.i32 --tokens 1600
cat >job.yaml <<'YAML'
version: 1
model: {path: model}
calibration: {sources: [{path: tokens.i32}], rows: 20, length: 64, validation_rows: 5, slice_rows: 4}
allocate: {bpw: 8.5, head_bits: 8}
output: {dir: out, format: uniform8}
work: {dir: work}
device: {kind: cpu, threads: 1}
YAML

"$program" plan job.yaml --ranks 2 >plan.txt || die "plan"
grep -q 'SideBySide' plan.txt || die "plan does not name the family"
"$program" run job.yaml 2>log.txt || { cat log.txt; die "run"; }
layers=$(grep -o '"desc": "8 bits"' out/measurement.json | wc -l)
((layers == 21)) || die "$layers of 21 layers were measured"
grep -q 'evaluate   perplexity' log.txt || { cat log.txt; die "no evaluation"; }
grep -q '"quant_method": "uniform8"' out/config.json || die "config.json"
"$program" verify out --against model | tail -n 1
perplexity() { "$program" eval "$1" --tokens tokens.i32 --length 64 --json | sed -n 's/.*"perplexity": *\([0-9.]*\).*/\1/p'; }
plain=$(perplexity model)
quantized=$(perplexity out)
echo "perplexity $plain, in 8 bits $quantized"
awk -v a="$plain" -v b="$quantized" 'BEGIN { exit !(b < 1.01 * a && b > 0.99 * a) }' || die "8 bits lose too much"

mpirun --allow-run-as-root --oversubscribe -n 3 "$program" run job.yaml -s output.dir="$work/out3" \
  -s work.dir="$work/work3" 2>log.txt || { cat log.txt; die "run on 3 ranks"; }
[[ $(sum_of out) == $(sum_of out3) ]] || die "other bytes on 3 ranks"

code=0
"$program" run job.yaml -s output.format=exl2 -s output.dir="$work/exl2" -s work.dir="$work/work-exl2" \
  -s allocate.head_bits=6 2>err.txt || code=$?
[[ $code == 65 ]] || { cat err.txt; die "EXL2 took a family that its reader does not know: exit $code"; }
grep -q 'SideBySideForCausalLM' err.txt || { cat err.txt; die "not refused by name"; }
[[ ! -e work-exl2/measurements ]] || [[ -z $(ls -A work-exl2/measurements) ]] || die "refused after work"
