# Helpers of the system tests. Each test is called as: TEST.sh PROGRAM MAKE_MODEL ROUND_TO_NEAREST SHARED_DATA
set -euo pipefail
program=$1
make_model=$2
round_to_nearest=$3
shared=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

say() { printf '%s\n' "$*"; }
die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
skip() { printf 'SKIPPED: %s\n' "$*"; exit 77; }

# ranks N COMMAND...: N = 0 runs without a launcher.
ranks() {
  local n=$1
  shift
  if ((n == 0)); then "$@"; else mpirun --allow-run-as-root --oversubscribe -n "$n" "$@"; fi
}

# job FILE MODEL TOKENS ROWS LENGTH SLICE_ROWS BPW
job() {
  cat >"$1" <<YAML
version: 1
model: {path: $2}
calibration: {tokens: $3, rows: $4, length: $5, slice_rows: $6}
measure: {options: exl2-2023, err_norm: pooled}
allocate: {bpw: $7, objective: sum, head_bits: 6}
quantize: {hessians: auto}
output: {dir: out, shard_mib: 8192}
work: {dir: work}
device: {kind: cpu, threads: 1}
YAML
}

# sum_of FOLDER: one hash over the names and bytes of all its files.
sum_of() { (cd "$1" && find . -type f | sort | xargs sha256sum | sha256sum | cut -d' ' -f1); }

perplexity() { sed -n 's/.*"perplexity": \([0-9.]*\).*/\1/p'; }

# is A OPERATOR B: comparison of decimals.
is() { awk -v a="$1" -v b="$3" "BEGIN { exit !(a $2 b) }"; }

# expect_exit CODE COMMAND...: standard error goes to stderr.txt.
expect_exit() {
  local want=$1 got=0
  shift
  "$@" >stdout.txt 2>stderr.txt || got=$?
  ((got == want)) || { cat stderr.txt >&2; die "exit code $got, expected $want: $*"; }
}
