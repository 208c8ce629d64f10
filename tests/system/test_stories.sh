#!/usr/bin/env bash
# A real trained model over two ranks: 35 layers, perplexity falls with bits and lies below round-to-nearest of
# the same width (one scale per output, which here takes a quarter bit more than the budget; the head is kept in
# fp16 on both sides).
source "$(dirname "$0")/common.sh"

model=$shared/models/stories260K-pad192-sharded
tokens=$shared/data/tokens/tinystories_tok512.i32
[[ -d $model && -f $tokens ]] || skip "shared data absent: $model"
evaluate() { ranks 2 "$program" eval "$1" --tokens "$tokens" --rows "$2" --length "$3" --json | perplexity; }

for folder in stories260K stories260K-pad192-sharded; do
  for rows in "508 256 4.81429" "254 512 4.66242"; do
    read -r count length want <<<"$rows"
    got=$(evaluate "$shared/models/$folder" "$count" "$length")
    say "$folder, $count rows of $length: $got (checked value $want)"
    awk -v a="$got" -v b="$want" 'BEGIN { d = a / b - 1; exit !(d < 1e-4 && d > -1e-4) }' || die "perplexity"
  done
done

job job.yaml "$model" "$tokens" 64 256 8 4.0
last=1000
for bits in 4 5 6; do
  ranks 2 "$program" run job.yaml -s allocate.bpw=$bits.0 -s allocate.head_bits=16 -s output.dir="$work/out$bits" 2>log.txt ||
    { cat log.txt; die "run at $bits"; }
  "$program" verify "out$bits" >/dev/null
  "$round_to_nearest" "$model" "rtn$bits" $bits 0
  ours=$(evaluate "out$bits" 508 256)
  rtn=$(evaluate "rtn$bits" 508 256)
  say "$bits.0 bits: perplexity $ours, round to nearest at width $bits: $rtn"
  is "$ours" '<' "$last" || die "perplexity does not fall at $bits bits"
  is "$ours" '<' "$rtn" || die "round to nearest is better at $bits bits"
  last=$ours
done
layers=$(grep -o '"key"' work/measurement.json | wc -l)
[[ $layers == 35 ]] || die "$layers layers measured"
