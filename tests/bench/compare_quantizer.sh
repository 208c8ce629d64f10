#!/usr/bin/env bash
# All 24 options at K = N = 2048 and 4096, T = 4096, two threads: bench_quantizer beside the torch
# reference, runs interleaved on the same machine. The reference runs as it is, and again with OpenBLAS
# told to use this processor's vector units, where it would not by itself.
# Usage: compare_quantizer.sh BENCH_QUANTIZER REF_EXL2.py [REPETITIONS] [K...]
set -euo pipefail
bench=$1
reference=$2
repetitions=${3:-3}
sizes=("${@:4}")
((${#sizes[@]})) || sizes=(2048 4096)

field() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p"; }
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

for k in "${sizes[@]}"; do
  ours=() theirs=() theirs_fast=()
  for ((i = 0; i < repetitions; ++i)); do
    line=$("$bench" 2 "$k")
    echo "$line"
    ours+=("$(field total <<<"$line")")
    theirs+=("$(/usr/bin/python3 "$reference" time "$k" 4096 256 1 | field total)")
    theirs_fast+=("$(OPENBLAS_CORETYPE=SKYLAKEX /usr/bin/python3 "$reference" time "$k" 4096 256 1 |
      field total)")
  done
  a=$(printf '%s\n' "${ours[@]}" | median)
  b=$(printf '%s\n' "${theirs[@]}" | median)
  c=$(printf '%s\n' "${theirs_fast[@]}" | median)
  awk -v k="$k" -v a="$a" -v b="$b" -v c="$c" 'BEGIN {
    printf "K = %d: shardquant %.2f s, reference %.2f s (%.1fx), reference with AVX-512 OpenBLAS %.2f s (%.1fx)\n",
           k, a, b, b / a, c, c / a }'
done
