"""What the Slurm tests share: submitting the scripts of slurm/, waiting, reading logs.

Every test is called by with_slurm.sh as: TEST.py PROGRAM MAKE_MODEL SHIM SHARED_DATA, with
tests/faults in PYTHONPATH.
"""
import os
import subprocess
from pathlib import Path

from fault_lab import PROGRAM, die, wait_for

SCRIPTS = Path(__file__).resolve().parents[2] / "slurm"
OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "DEADLINE"}
# What the scripts ask for is more than a virtual node has.
SMALL = ["--cpus-per-task=1", "--time=10"]


def submit(script, job, *options, **environment):
    """The number of a job that a script of slurm/ was submitted as, from the folder of `job`."""
    values = dict(os.environ, JOB=str(job.file), SHARDQUANT=str(PROGRAM), WORK=str(job.work),
                  SHARDQUANT_FAULT_TRACE=str(job.trace), **environment)
    result = subprocess.run(["sbatch", "--parsable", *SMALL, *options, str(SCRIPTS / script)],
                            cwd=job.folder, env=values, capture_output=True, text=True)
    if result.returncode != 0:
        die(f"sbatch {script}: {result.stderr}")
    return result.stdout.strip().split(";")[0]


def facts(number):
    """What Slurm knows of a job: JobState, Restarts, ExitCode, ..."""
    text = subprocess.run(["scontrol", "--oneliner", "show", "job", number], capture_output=True,
                          text=True).stdout
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def wait_until_over(number, seconds):
    """The facts of a job that has come to an end of its own kind."""

    def over():
        known = facts(number)
        return known if known.get("JobState") in OVER else None

    return wait_for(over, seconds, f"job {number} to end: {facts(number)}")


def log_of(job, number):
    return "".join(p.read_text(errors="replace") for p in sorted(job.folder.glob(f"*-{number}.log")))


def must_complete(job, number, seconds=240):
    """The facts of a job of Slurm that has to end well."""
    known = wait_until_over(number, seconds)
    if known["JobState"] != "COMPLETED" or known["ExitCode"] != "0:0":
        die(f"job {number} ended as {known['JobState']} {known['ExitCode']}: {log_of(job, number)}")
    return known


def wait_for_layers(job, number, layers):
    """Until the job has begun so many layers; the faults' trace counts them."""
    wait_for(lambda: sum(job.started().values()) >= layers, 120,
             f"{layers} layers of job {number}: {facts(number)} {log_of(job, number)}")


def slow_layers(count, seconds):
    """An order that makes every rank's first `count` layers take so long."""
    return ";".join(f"point=layer_started,count={n + 1},action=sleep:{seconds}"
                    for n in range(count))
