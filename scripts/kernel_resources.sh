#!/usr/bin/env bash
# Registers, shared memory, stack and spills of every CUDA kernel, as ptxas reports them, as a table for
# docs/gpu-results.md. Fails where a kernel of the sweep or the scale search spills.
# Usage: scripts/kernel_resources.sh [ARCHITECTURE...]   (default: 80 90)
set -euo pipefail
cd "$(dirname "$0")/.."
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[[ -x $nvcc ]] || { echo "no nvcc; name one by NVCC=..." >&2; exit 69; }
architectures=("$@")
((${#architectures[@]})) || architectures=(80 90)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

for file in kernels/cuda/*.cu kernels/cuda/*/*.cu; do
  for architecture in "${architectures[@]}"; do
    "$nvcc" -std=c++20 -O3 --expt-relaxed-constexpr -arch="sm_$architecture" -Xptxas -v -I. -cubin \
      -o "$out/cubin" "$file" 2>&1 | c++filt |
      awk -v file="$(basename "$file")" -v architecture="$architecture" '
        /Compiling entry function/ {
          name = $0
          sub(/.*entry function .(void )?/, "", name)
          gsub(/\(shardquant::kernels::ScaleObjective\)/, "objective ", name)
          sub(/\(shardquant.*/, "", name)
          sub(/. for .sm_.*/, "", name)
          gsub(/\(anonymous namespace\)::/, "", name)
          gsub(/shardquant::kernels::(cuda::)?/, "", name)
          sub(/\(.*/, "", name)
        }
        /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
        /Used [0-9]+ registers/ {
          match($0, /Used [0-9]+/)
          registers = substr($0, RSTART + 5, RLENGTH - 5)
          printf "%s|%s|%s|%s|%s|%s\n", file, name, architecture, registers, stack, stores + loads
        }'
  done
done | sort >"$out/rows"

# Shared memory is asked for at the launch, so ptxas does not know it; the launchers compute it.
shared_of() {
  case $1 in
    prepare_group_kernel\<*|quantize_columns_kernel\<*)
      local slabs=${1#*<}
      slabs=${slabs%%,*}
      echo $((4 * (32 * 32 + (slabs - 1) * 32 * 128))) ;;
    search_shrink_kernel*) echo "6300 (49 factors)" ;;
    search_affine_kernel*) echo "32, simulated 65568" ;;
    choose_shrink_kernel) echo "424 (49 factors)" ;;
    permuted_transpose_kernel*|mirror_damped_kernel) echo 4224 ;;
    rms_norm_kernel|negative_log_likelihood_kernel|count_nonfinite_kernel|squared_sums_kernel|row_products_kernel*) echo 64 ;;
    causal_softmax_kernel) echo 16 ;;
    *) echo 0 ;;
  esac
}
printf '| kernel | file | sm | registers | dynamic shared, bytes | stack, bytes | spilled, bytes |\n'
printf '|---|---|---|---|---|---|---|\n'
status=0
while IFS='|' read -r file name architecture registers stack spilled; do
  # shellcheck disable=SC2016  # the backticks are Markdown's
  printf '| `%s` | %s | %s | %s | %s | %s | %s |\n' "$name" "$file" "$architecture" "$registers" \
    "$(shared_of "$name")" "$stack" "$spilled"
  case $file in
    prepare_group.cu|search_shrink.cu|search_affine.cu|quantize_columns.cu)
      if ((spilled > 0)); then
        echo "spills: $name on sm_$architecture" >&2
        status=1
      fi ;;
  esac
done <"$out/rows"
exit $status
