#!/bin/bash
# Measures once, then quantizes to one size after another, each job waiting for the one before it,
# since they share the work folder. Ends when all are submitted and prints their numbers.
# Usage: slurm/measure_then_quantize.sh JOB.yaml OUTPUT BITS...   (OUTPUT-BITS are the folders)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# Lines to edit.
script=${SCRIPT:-$here/quantize_many_nodes.sbatch}
read -r -a resources <<<"${RESOURCES:-}" # as --nodes=2 --time=02:00:00

if (($# < 3)); then
  sed -n '2,4s/^# //p' "$0" >&2
  exit 64
fi
job=$1 output=$2
shift 2

previous=$(JOB=$job STAGE=measure "$here/submit.sh" --parsable "${resources[@]}" "$script")
previous=${previous%%;*}
echo "measure        job $previous"
for bits in "$@"; do
  previous=$(JOB=$job STAGE=quantize \
    OPTIONS="-s allocate.bpw=$bits -s output.dir=$output-$bits ${OPTIONS:-}" \
    "$here/submit.sh" --parsable --dependency="afterok:$previous" --kill-on-invalid-dep=yes \
    "${resources[@]}" "$script")
  previous=${previous%%;*}
  echo "quantize $bits job $previous"
done
