#!/usr/bin/env python3
"""A node that goes down with all that runs on it, in the middle of a job of two nodes."""
import os
import subprocess
from pathlib import Path

from fault_lab import Lab, die
from slurm_lab import log_of, must_complete, slow_layers, submit, wait_for_layers

NODE_SCRIPT = Path(__file__).resolve().parent / "slurm_node.sh"


def node(name, action):
    subprocess.run([NODE_SCRIPT, os.environ["SLURM_LAB"], name, action], check=True)


with Lab(layers=4) as lab:
    plain = lab.job()
    plain.must_finish()
    job = lab.job()
    number = submit("quantize_many_nodes.sbatch", job, "--nodes=2", "--ntasks-per-node=2",
                    SHARDQUANT_FAULT=slow_layers(7, 1))
    wait_for_layers(job, number, 9)
    node("n2", "crash")
    node("n2", "start")
    known = must_complete(job, number)
    log = log_of(job, number)
    if known["Restarts"] != "1" or f"=== restart 1 of job {number} ===" not in log:
        die(f"{known['Restarts']} restarts: {log}")
    if job.sum() != plain.sum():
        die(f"other bytes: {log}")
    twice = job.measured_again()
    if twice > 4:
        die(f"{twice} layers measured again on four ranks")
    print("a node lost in a job of two: put back by Slurm, restart 1 in the log, same bytes, "
          f"{twice} layer(s) measured again")
