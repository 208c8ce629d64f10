#!/usr/bin/env bash
# All files of the output folder are the same for one process without MPI, 1 to 4 ranks, two threads, Hessians
# kept or computed again; with both error norms, and with sensitivities, of layers and of parts.
source "$(dirname "$0")/common.sh"

"$make_model" model --hidden 128 --heads 4 --kv-heads 2 --ffn 192 --layers 3 --vocab 300 --dtype BF16 \
  --shards 2 --tokens-file tokens.i32 --tokens 2000
job job.yaml model tokens.i32 22 64 4 4.2  # 6 slices, the last one shorter

for norm in pooled row_mean; do
  first=
  for n in 0 1 2 3 4; do
    ranks "$n" "$program" run job.yaml -s measure.err_norm=$norm -s output.dir="$work/out-$norm-$n" \
      -s work.dir="$work/work-$norm-$n" 2>log.txt || { cat log.txt; die "run on $n ranks"; }
    sum=$(sum_of "out-$norm-$n")
    say "$norm, $n ranks: $sum"
    first=${first:-$sum}
    [[ $sum == "$first" ]] || die "other bytes on $n ranks"
  done
  "$program" run job.yaml -s measure.err_norm=$norm -s quantize.hessians=recompute \
    -s device.threads=2 -s output.dir="$work/out-$norm-again" -s work.dir="$work/work-$norm-again" 2>log.txt
  [[ $(sum_of "out-$norm-again") == "$first" ]] || die "other bytes with recomputed Hessians, 2 threads"
  [[ -z $(ls "work-$norm-again/hessians") ]] || die "hessians: recompute left files"
done
for per in layer part; do
  first=
  for n in 0 1 2 3 4; do
    ranks "$n" "$program" run job.yaml -s allocate.objective=kl -s sensitivity.per=$per \
      -s output.dir="$work/out-$per-$n" -s work.dir="$work/work-$per-$n" 2>log.txt ||
      { cat log.txt; die "run on $n ranks"; }
    cmp "work-$per-$n/measurement.json" "out-$per-$n/measurement.json"
    sum=$(sum_of "out-$per-$n")
    say "sensitivity per $per, $n ranks: $sum"
    first=${first:-$sum}
    [[ $sum == "$first" ]] || die "other bytes on $n ranks"
  done
  # As if it were asked for later: the measurement is there, the weights to try are not.
  "$program" run job.yaml -s device.threads=2 -s output.dir="$work/out-$per-later" \
    -s work.dir="$work/work-$per-later" 2>log.txt
  rm -r "out-$per-later"
  ranks 2 "$program" run job.yaml -s allocate.objective=kl -s sensitivity.per=$per \
    -s output.dir="$work/out-$per-later" -s work.dir="$work/work-$per-later" 2>log.txt
  [[ $(sum_of "out-$per-later") == "$first" ]] || die "other bytes with sensitivities found later"
  # And from another job's folder.
  "$program" run job.yaml -s allocate.objective=kl -s sensitivity.per=$per \
    -s work.measured_in="$work/work-$per-0" -s output.dir="$work/out-$per-lent" \
    -s work.dir="$work/work-$per-lent" 2>log.txt
  [[ $(sum_of "out-$per-lent") == "$first" ]] || die "other bytes with borrowed sensitivities"
  [[ -z $(find "work-$per-0/sensitivity/weights" "work-$per-0/sensitivity/copies" -type f) ]] ||
    die "weights or states were left behind"
done
expect_exit 66 "$program" run job.yaml -s allocate.objective=kl -s work.measured_in="$work/work-pooled-0" \
  -s output.dir="$work/out-none" -s work.dir="$work/work-none"
grep -q 'allocate.objective' stderr.txt || die "no remedy: $(cat stderr.txt)"
"$program" run job.yaml -s allocate.objective=kl -s sensitivity.rows=0 -s output.dir="$work/out-off" \
  -s work.dir="$work/work-off" 2>log.txt
grep -q 'sum_squares is minimized instead' log.txt || die "not said what is minimized"
grep -q '"objective": "sum_squares"' out-off/plan.json || die "another objective"
cmp -s out-pooled-0/measurement.json out-row_mean-0/measurement.json &&
  die "both norms give the same measurement"
"$program" verify out-pooled-0 --against model | tail -n 1
