#!/usr/bin/env bash
# The CUDA back end on its stand-in: same bytes on one and two ranks, which share the one device and say that
# they go through host memory; too little device memory ends in 69 with bytes wanted and free.
# Usage: test_cuda_standin_ranks.sh PROGRAM MAKE_MODEL ROUND_TO_NEAREST SHARED_DATA MODULE
source "$(dirname "$0")/common.sh"
export SHARDQUANT_CUDA_MODULE=$5

"$make_model" model --hidden 64 --heads 4 --kv-heads 2 --ffn 96 --layers 2 --vocab 128 --dtype F16 \
  --tokens-file tokens.i32 --tokens 800
job job.yaml model tokens.i32 11 64 4 4.2
sed -i 's/kind: cpu/kind: cuda/' job.yaml

for n in 0 2; do
  ranks "$n" "$program" run job.yaml -s output.dir="$work/out-$n" -s work.dir="$work/work-$n" 2>log-$n.txt ||
    { cat log-$n.txt; die "run on $n ranks"; }
  grep -q 'stand-in on the host' log-$n.txt || die "not on the stand-in: $(cat log-$n.txt)"
done
[[ $(sum_of out-0) == "$(sum_of out-2)" ]] || die "other bytes on two ranks"
grep 'through host memory (two ranks share device' log-2.txt || die "no line about the shared device: $(cat log-2.txt)"
"$program" verify out-0 --against model | tail -n 1

SHARDQUANT_STANDIN_BYTES=200000 expect_exit 69 "$program" run job.yaml -s output.dir="$work/small" -s work.dir="$work/small-work"
grep 'bytes wanted, [0-9]* free' stderr.txt || die "no bytes in: $(cat stderr.txt)"
