#!/usr/bin/env bash
# Peak resident memory of every rank stays under the bound printed at the start, and that bound does not grow with
# the number of blocks: a folder of more than 1.5 GB with 16 blocks beside the same with 4.
source "$(dirname "$0")/common.sh"

field() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$2" | tail -n 1; }

bounds=()
for layers in 4 16; do
  "$make_model" "model$layers" --hidden 1536 --heads 12 --kv-heads 4 --ffn 3840 --layers "$layers" --vocab 2048 \
    --dtype F32 --shards 4 --tokens-file tokens.i32 --tokens 5000
  bytes=$(du -sb "model$layers" | cut -f1)
  job job.yaml "model$layers" tokens.i32 16 256 4 4.0
  ranks 2 "$program" run job.yaml -s output.dir="$work/out$layers" -s work.dir="$work/work$layers" 2>log.txt ||
    { cat log.txt; die "run with $layers blocks"; }
  bound=$(field memory_bound_bytes "work$layers/events.jsonl")
  peak=$(field peak_bytes "work$layers/events.jsonl")
  say "$layers blocks, folder $bytes bytes: bound $bound, peak of a rank $peak ($((100 * peak / bound)) %)"
  ((peak <= bound)) || die "peak above the bound"
  bounds+=("$bound")
  rm -rf "model$layers" "out$layers" "work$layers"
done
((bytes > 1500000000)) || die "the folder is too small for this test"
((bounds[0] == bounds[1])) || die "the bound grows with the number of blocks: ${bounds[*]}"
