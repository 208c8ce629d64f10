#!/usr/bin/env bash
# Everything that needs a GPU, in one call: builds with the CUDA module, runs its tests, the sanitizer's
# tools on the small ones, the demo and the benchmarks, and writes a table. Needs nvcc, cmake, ninja and
# Python or nothing more where .debs/ (scripts/unpack_debian.sh) has the other packages. Without a device
# the GPU's tests are skipped, counted and named. Usage: scripts/gpu_check.sh [TABLE.md]
# Environment: ARCHITECTURES (for CMake), CONFIGURE_ARGS (further arguments of cmake), JOBS (of ninja).
set -uo pipefail
cd "$(dirname "$0")/.."
table=${1:-build/gpu/gpu-check.md}
build=build/gpu
mkdir -p "$build" "$(dirname "$table")"
export PATH=/usr/local/cuda/bin:$PATH
failed=0
rows=()
note() { rows+=("| $1 | $2 | $3 |"); printf '%-28s %-8s %s\n' "$1" "$2" "$3"; }

configure=(-G Ninja -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DSHARDQUANT_WITH_CUDA=ON)
read -r -a further <<<"${CONFIGURE_ARGS:-}"
configure+=("${further[@]}")
[[ -z ${ARCHITECTURES:-} ]] || configure+=("-DCMAKE_CUDA_ARCHITECTURES=$ARCHITECTURES")
if [[ -d .debs/root ]]; then
  root=$PWD/.debs/root/usr
  library=$root/lib/x86_64-linux-gnu
  export LD_LIBRARY_PATH=$library:$library/openblas-pthread:${LD_LIBRARY_PATH:-}
  export OPAL_PREFIX=$library/openmpi PATH=$root/bin:$PATH
  command -v mpicc >/dev/null 2>&1 || configure+=("-DMPI_C_COMPILER=$root/bin/mpicc.openmpi")
  configure+=("-DCMAKE_PREFIX_PATH=$root" -DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu)
fi
# Only what the GPU's tests and benchmarks are made of.
targets=(shardquant shardquant_cuda test_forward test_quantizer test_reference_vectors test_cuda_sweep
  bench_cuda)
if cmake "${configure[@]}" >"$build.configure.log" 2>&1 &&
  ninja ${JOBS:+-j "$JOBS"} -C "$build" "${targets[@]}" >"$build.build.log" 2>&1; then
  note build ok "$(grep -o 'architectures .*' "$build.configure.log" | head -n 1)"
else
  note build FAILED "$build.configure.log, $build.build.log"
  tail -n 20 "$build.build.log" "$build.configure.log" 2>/dev/null
  failed=1
fi

export SHARDQUANT_CUDA_MODULE=$PWD/$build/pipeline/libshardquant_cuda.so
device=no
if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then
  device=yes
  note device "" "$(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | head -n 1)"
else
  note device none "the GPU's tests are skipped"
fi

# A test program's cases of the CUDA back end: passed, skipped or failed, with their number.
run_tests() {
  local name=$1 filter=$2
  shift 2
  local program=$build/tests/unit/kernels/$name log=$build/$name.log
  [[ -x $program ]] || { note "$name" FAILED "not built"; failed=1; return; }
  if ! "$@" "$program" --gtest_filter="$filter" >"$log" 2>&1; then
    note "$name $*" FAILED "$log"
    failed=1
  elif grep -q 'SKIPPED' "$log"; then
    note "$name" SKIPPED "$(sed -n 's/.*SKIPPED *\] \([0-9]*\) tests*, listed.*/\1 tests/p' "$log" | head -n 1): $(grep -m 1 -o 'device.kind is cuda.*' "$log")"
  else
    note "$name${*:+ under ${*##*/}}" ok "$(sed -n 's/.*PASSED *\] \([0-9]*\) tests*.*/\1 tests/p' "$log")"
  fi
}
run_tests test_forward '*cuda*'
run_tests test_quantizer '*cuda*'
run_tests test_reference_vectors '*cuda*'
run_tests test_cuda_sweep '*'

if [[ $device == yes ]] && command -v compute-sanitizer >/dev/null 2>&1; then
  small='*RmsNorm*cuda*:*Rotate/cuda*:*ZeroAndTiny*cuda*:*TransposesEvery*cuda*:*Identity*cuda*'
  for tool in memcheck racecheck; do
    run_tests test_forward "$small" compute-sanitizer --tool "$tool" --error-exitcode 9
    run_tests test_quantizer "$small" compute-sanitizer --tool "$tool" --error-exitcode 9
  done
else
  note compute-sanitizer SKIPPED "no device, or the tool is not installed"
fi

demo() {
  local kind=$1 folder=$build/demo-$1
  rm -rf "$folder" && mkdir -p "$folder"
  "$build/pipeline/shardquant" run configs/demo/demo.yaml -s "device.kind=$kind" \
    -s "output.dir=$PWD/$folder/out" -s "work.dir=$PWD/$folder/work" >"$folder/log" 2>&1
}
perplexity() {
  "$build/pipeline/shardquant" eval "$1" --tokens configs/demo/eval.i32 --length 256 --json |
    sed -n 's/.*"perplexity": *\([0-9.]*\).*/\1/p'
}
if [[ $device == yes && -x $build/pipeline/shardquant ]]; then
  if demo cpu && demo cuda; then
    note demo ok "perplexity $(perplexity "$build/demo-cpu/out") by the CPU's run, $(perplexity "$build/demo-cuda/out") by the GPU's"
  else
    note demo FAILED "$build/demo-*/log"
    failed=1
  fi
else
  note demo SKIPPED "no device"
fi

if [[ -x $build/tests/bench/bench_cuda ]]; then
  "$build/tests/bench/bench_cuda" >"$build/bench.md" 2>"$build/bench.log"
  case $? in
    0) note benchmark ok "below" ;;
    77) note benchmark SKIPPED "$(sed -n 's/^SKIPPED: //p' "$build/bench.md")"; : >"$build/bench.md" ;;
    *) note benchmark FAILED "$(tail -n 1 "$build/bench.log")"; failed=1 ;;
  esac
fi

{
  printf '# GPU check\n\n| step | result | |\n|---|---|---|\n'
  printf '%s\n' "${rows[@]}"
  if [[ -s $build/bench.md ]]; then printf '\n'; cat "$build/bench.md"; fi
} >"$table"
echo "table: $table"
exit "$failed"
