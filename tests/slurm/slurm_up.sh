#!/usr/bin/env bash
# Starts munged, slurmctld and NODES slurmd of CPUS each, with all their files in FOLDER.
# Usage: slurm_up.sh FOLDER NODES CPUS, in namespaces of its own (with_slurm.sh).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1 nodes=$2 cpus=$3
umask 022
mkdir -p "$folder"/{state,log,run,spool,tmp}

write_configuration() {
  cat <<END
ClusterName=lab
SlurmctldHost=localhost(10.77.0.1)
SlurmUser=root
SlurmdUser=root
# Credentials that expire soon: a requeued job waits until those of its last run have.
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.sock,cred_expire=5
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdSpoolDir=$folder/spool/%n
SlurmdPidFile=$folder/run/%n.pid
SlurmdLogFile=$folder/log/%n.log
# The PMIx server's folder is named by job and step: two nodes of one machine need one each.
TmpFS=$folder/tmp/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1,sched_interval=2
# More processors than there are, and unused nodes that never sleep.
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=3600
END
  local i
  for ((i = 1; i <= nodes; ++i)); do
    echo "NodeName=n$i NodeHostname=n$i NodeAddr=10.77.0.1 Port=$((17000 + i)) CPUs=$cpus" \
      "RealMemory=4000 State=UNKNOWN"
  done
  echo "PartitionName=main Nodes=n[1-$nodes] Default=YES MaxTime=INFINITE State=UP"
}

write_hosts() {
  local i
  echo "127.0.0.1 localhost"
  echo "10.77.0.1 $(hostname)"
  for ((i = 1; i <= nodes; ++i)); do echo "10.77.0.1 n$i"; done
}

(umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
write_configuration >"$folder/slurm.conf"
write_hosts >"$folder/hosts"
mount --bind "$folder/hosts" /etc/hosts
export SLURM_CONF=$folder/slurm.conf

munged -f --socket="$folder/run/munge.sock" --key-file="$folder/munge.key" \
  --pid-file="$folder/run/munged.pid" --log-file="$folder/log/munged.log" \
  --seed-file="$folder/run/munged.seed"
slurmctld -c -f "$SLURM_CONF"
for ((i = 1; i <= nodes; ++i)); do "$here/slurm_node.sh" "$folder" "n$i" start; done

for ((tries = 0; tries < 100; ++tries)); do
  idle=$(timeout 5 sinfo --noheader --Node --format=%T 2>/dev/null | grep -c '^idle$' || true)
  if [[ $idle -eq $nodes ]]; then exit 0; fi
  sleep 0.1
done
timeout 5 sinfo --Node || true
tail -n 20 "$folder"/log/*.log
exit 1
