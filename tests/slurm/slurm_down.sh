#!/usr/bin/env bash
# Ends the jobs of the lab in FOLDER, then its daemons. Usage: slurm_down.sh FOLDER
set -uo pipefail
folder=$1
export SLURM_CONF=$folder/slurm.conf

scancel --full --user=root 2>/dev/null
for ((tries = 0; tries < 100; ++tries)); do
  [[ -z $(squeue --noheader 2>/dev/null) ]] && break
  sleep 0.1
done
for file in "$folder"/run/n*.pid "$folder"/run/slurmctld.pid "$folder"/run/munged.pid; do
  [[ -s $file ]] || continue
  process=$(<"$file")
  kill "$process" 2>/dev/null
  for ((tries = 0; tries < 50; ++tries)); do
    kill -0 "$process" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$process" 2>/dev/null
done
exit 0
