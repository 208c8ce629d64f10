#!/usr/bin/env bash
# The whole run of the embedded demo model with the CUDA back end on its stand-in, against the CPU back
# end: codes equal in at least 99.5 % of places, same plan, output that verifies.
# Usage: test_cuda_standin_demo.sh PROGRAM COMPARE_CODES MODULE DEMO_JOB SETTING...
set -euo pipefail
program=$1
compare_codes=$2
module=$3
job=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

settings=()
for setting in "$@"; do settings+=(-s "$setting"); done
for kind in cpu cuda; do
  mkdir "$work/$kind"
  SHARDQUANT_CUDA_MODULE=$module "$program" run "$job" "${settings[@]}" -s device.kind=$kind \
    -s output.dir="$work/$kind/out" -s work.dir="$work/$kind/work" >"$work/$kind/log" 2>&1 ||
    { cat "$work/$kind/log"; die "run with device.kind=$kind"; }
done
grep -q 'stand-in on the host' "$work/cuda/log" || die "the run was not on the stand-in"
"$program" verify "$work/cuda/out" >/dev/null || die "output does not verify"
found=$("$compare_codes" "$work/cpu/out" "$work/cuda/out")
printf '%s\n' "$found"
equal=$(sed -n 's/.*"equal_percent": \([0-9.]*\).*/\1/p' <<<"$found")
other=$(sed -n 's/.*"layers_with_other_groups": \([0-9]*\).*/\1/p' <<<"$found")
[[ $other == 0 ]] || die "$other layers got another option"
awk -v equal="$equal" 'BEGIN { exit !(equal >= 99.5) }' || die "codes equal in $equal % of places only"
