#!/usr/bin/env python3
"""The scripts of slurm/ as they stand: several nodes, one node, measure then quantize; no PMIx."""
import os
import re
import subprocess
import time

from fault_lab import PROGRAM, UNAVAILABLE, Lab, die, sum_of
from slurm_lab import SCRIPTS, SMALL, facts, must_complete, submit

TWO_BY_TWO = ["--nodes=2", "--ntasks-per-node=2"]
# A virtual node, for `plan`.
PROFILE = """version: 1
about: a virtual node
node: {ranks: 2, cores: 8, host_gib: 3.9}
device: {memory_gib: 0}
rates_are: per_thread
forward_gflops: 100
hessian_gflops: 100
factor_gflops: 30
update_gflops: 100
search_gsteps: 3
sweep_gweights: 0.2
read_gb_s: 1
write_gb_s: 0.5
network_gb_s: 1
"""


def check_many_nodes(lab, want):
    job = lab.job()
    number = submit("quantize_many_nodes.sbatch", job, *TWO_BY_TWO)
    known = must_complete(job, number)
    if known["NumNodes"] != "2" or known["NumTasks"] != "4":
        die(f"not 2 nodes and 4 tasks: {known}")
    log = (job.folder / f"shardquant-{number}.log").read_text()
    if "4 rank(s)" not in log:
        die(f"not 4 ranks: {log}")
    if job.sum() != want:
        die("2 nodes x 2 tasks: other bytes than one process")
    print("2 nodes x 2 tasks end with the bytes of one process")


def check_one_node(lab, want):
    job = lab.job()
    number = submit("quantize_one_node.sbatch", job)
    known = must_complete(job, number)
    if known["NumNodes"] != "1" or job.sum() != want:
        die(f"one node: other bytes, or not one node: {known}")
    print("one node x 2 tasks ends with the bytes of one process")


def check_measure_then_quantize(lab):
    job = lab.job()
    environment = dict(os.environ, JOB="", SHARDQUANT=str(PROGRAM),
                       SHARDQUANT_FAULT_TRACE=str(job.trace),
                       RESOURCES=" ".join(TWO_BY_TWO + SMALL))
    result = subprocess.run([SCRIPTS / "measure_then_quantize.sh", job.file, job.output, "4", "5"],
                            cwd=job.folder, env=environment, capture_output=True, text=True)
    numbers = re.findall(r"job (\d+)$", result.stdout, re.MULTILINE)
    if result.returncode != 0 or len(numbers) != 3:
        die(f"measure_then_quantize.sh: {result.stdout} {result.stderr}")
    for number in numbers:
        must_complete(job, number)
    if set(job.started().values()) != {1}:
        die(f"measured more than once: {job.started()}")
    for bits, number in (("4", numbers[1]), ("5", numbers[2])):
        # The same in one process: other bytes would mean that the jobs disturbed each other.
        alone = lab.job(bpw=bits)
        alone.must_finish()
        made = sum_of(job.folder / f"out-{bits}")
        if made != alone.sum():
            die(f"{bits} bits: other bytes than one process, job {number} {facts(number)}")
    print("one measure job, then two quantize jobs: bytes as by one process each, measured once")


def check_planned_header(lab, want):
    """The header that `plan --sbatch` prints, as it is, before what a script of slurm/ does."""
    job = lab.job()
    machine = job.folder / "machine.yaml"
    machine.write_text(PROFILE)
    header = subprocess.run([PROGRAM, "plan", job.file, "--machine", machine, "--ranks", "4", "--sbatch"],
                            capture_output=True, text=True, check=True).stdout
    body = (SCRIPTS / "quantize_many_nodes.sbatch").read_text().split("\nset -u\n", 1)[1]
    script = job.folder / "planned.sbatch"
    script.write_text(f"{header}\nset -u\n{body}")
    number = subprocess.run(["sbatch", "--parsable", script], cwd=job.folder, capture_output=True, text=True, check=True,
                            env=dict(os.environ, JOB=str(job.file), SHARDQUANT=str(PROGRAM))).stdout.strip()
    known = must_complete(job, number)
    if (known["NumNodes"], known["NumTasks"], known["CPUs/Task"]) != ("2", "4", "1"):
        die(f"planned for 2 nodes of 2 ranks: {known}")
    if job.sum() != want:
        die("a planned header: other bytes than one process")
    print(f"the header of plan --sbatch: {known['NumNodes']} nodes, {known['NumTasks']} tasks, "
          f"{known['TimeLimit']}: bytes of one process")


def check_no_pmix(lab):
    job = lab.job()
    begin = time.monotonic()
    result = subprocess.run(["srun", "--nodes=2", "--ntasks=4", "--mpi=none",
                             "--kill-on-bad-exit=1", PROGRAM, "run", job.file],
                            capture_output=True, text=True)
    took = time.monotonic() - begin
    if result.returncode != UNAVAILABLE or "srun --mpi=pmix" not in result.stderr:
        die(f"srun without PMIx: exit code {result.returncode}: {result.stderr}")
    if job.work.exists():
        die("srun without PMIx: a task went to work")
    if took > 2.0:
        die(f"srun without PMIx was refused only after {took:.1f} s")
    print(f"srun without PMIx ended with 69 after {took:.1f} s")


with Lab(layers=2) as lab:
    plain = lab.job()
    plain.must_finish()
    check_no_pmix(lab)
    check_many_nodes(lab, plain.sum())
    check_one_node(lab, plain.sum())
    check_measure_then_quantize(lab)
    check_planned_header(lab, plain.sum())
