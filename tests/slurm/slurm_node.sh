#!/usr/bin/env bash
# Starts one virtual node of the lab in FOLDER, or ends it with all that runs on it as a power cut
# would. Usage: slurm_node.sh FOLDER NAME start|crash
set -euo pipefail
folder=$1 name=$2 action=$3
export SLURM_CONF=$folder/slurm.conf

# Host name and /dev/shm of its own: Open MPI names its shared memory by host, job and local rank.
start() {
  rm -rf "$folder/spool/$name" "$folder/tmp/$name"
  mkdir -p "$folder/spool/$name" "$folder/tmp/$name"
  # shellcheck disable=SC2016  # the inner shell expands them
  unshare --mount --uts bash -euc '
    hostname "$1"
    mount -t tmpfs -o size=1g shm /dev/shm
    exec slurmd -f "$2/slurm.conf" -N "$1"' _ "$name" "$folder"
}

# All that has the node's host name.
crash() {
  local space process
  space=$(readlink "/proc/$(cat "$folder/run/$name.pid")/ns/uts")
  for process in /proc/[0-9]*; do
    if [[ $(readlink "$process/ns/uts" 2>/dev/null) == "$space" ]]; then
      kill -KILL "${process#/proc/}" 2>/dev/null || true
    fi
  done
  scontrol update "NodeName=$name" State=DOWN Reason=crash
}

"$action"
