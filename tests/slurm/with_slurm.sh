#!/usr/bin/env bash
# Runs a command beside a Slurm of its own: munged, slurmctld and one slurmd per virtual node, all on
# this machine. They live in namespaces (processes, mounts, host name, network) that end with this
# process, however it ends; their state is in a tmpfs that nobody else sees. Needs root.
# Usage: with_slurm.sh COMMAND [ARGUMENTS]; NODES (2), CPUS of a node (2). The command finds
# SLURM_CONF, and SLURM_LAB, a folder that all nodes see. Exit code: the command's; 77, with the
# reason, where the machine cannot.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

skip() {
  echo "SKIPPED: $1"
  exit 77
}

if [[ ${1:-} != --inside ]]; then
  PATH=$PATH:/usr/sbin:/sbin
  [[ $(id -u) -eq 0 ]] || skip "a Slurm of the test's own needs root"
  for program in munged slurmctld slurmd srun sbatch ip unshare; do
    command -v "$program" >/dev/null ||
      skip "$program is not installed (scripts/install_debian.sh --slurm)"
  done
  spaces=(--pid --fork --kill-child --mount --uts --net --ipc)
  unshare "${spaces[@]}" --mount-proc true 2>/dev/null || skip "namespaces are not allowed here"
  exec unshare "${spaces[@]}" --mount-proc bash "$here/with_slurm.sh" --inside "$@"
fi
shift

lab=${TMPDIR:-/tmp}
mount --make-rprivate /
mkdir -p "$lab/shardquant-slurm"
mount -t tmpfs -o size=2g,mode=755 slurm "$lab/shardquant-slurm"
export SLURM_LAB=$lab/shardquant-slurm
# An address beside 127.0.0.1: names are not looked up, and Open MPI finds no way, where there is none.
ip link set lo up
ip address add 10.77.0.1/24 dev lo
"$here/slurm_up.sh" "$SLURM_LAB" "${NODES:-2}" "${CPUS:-2}" >"$SLURM_LAB/up.log" 2>&1 || {
  cat "$SLURM_LAB/up.log"
  echo "the test's Slurm did not start" >&2
  exit 1
}
export SLURM_CONF=$SLURM_LAB/slurm.conf
# Open MPI leaves the loopback device out unless it is named; here there is no other.
export OMPI_MCA_btl_tcp_if_include=lo
code=0
"$@" || code=$?
"$here/slurm_down.sh" "$SLURM_LAB"
exit "$code"
