#!/bin/bash
# sbatch for the scripts here, with one rank per GPU where the partition's nodes have GPUs; what is
# given goes before that. Usage: slurm/submit.sh [OPTIONS OF SBATCH] SCRIPT
set -euo pipefail

partition=${SBATCH_PARTITION:-}
wants_gpus=yes
previous=
for word in "$@"; do
  case $previous in -p | --partition) partition=$word ;; esac
  case $word in
    --partition=*) partition=${word#*=} ;;
    -p?*) partition=${word#-p} ;;
    --gpus* | -G* | --gres* | --tres-per-* | --ntasks-per-gpu*) wants_gpus=no ;;
  esac
  previous=$word
done

# GPUs of the nodes that have fewest, as "gpu:h100:4(S:0-1),shm:1" in sinfo's column of resources.
gpus=0
if [[ $wants_gpus == yes ]]; then
  gpus=$(sinfo --noheader --format='%P %G' ${partition:+--partition="$partition"} |
    awk -v named="$partition" '
      named == "" && $1 !~ /\*$/ { next } # without a name it is the default partition, which has a star
      {
        count = 0
        parts = split($2, resource, ",")
        for (i = 1; i <= parts; ++i) {
          if (resource[i] !~ /^gpu(:|$)/) continue
          sub(/\(.*/, "", resource[i])
          fields = split(resource[i], field, ":")
          count += fields > 1 && field[fields] ~ /^[0-9]+$/ ? field[fields] : 1
        }
        if (!found++ || count < least) least = count
      }
      END { print least + 0 }')
fi
if ((gpus > 0)); then
  echo "the partition has $gpus GPU(s) a node: one rank for each" >&2
  set -- --gpus-per-node="$gpus" --ntasks-per-node="$gpus" "$@"
fi
exec sbatch "$@"
