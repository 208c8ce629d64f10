#!/usr/bin/env python3
"""A sweep as a job array after one job that measures for all points: folders, summary, bytes."""
import csv
import json
import subprocess
import sys

from fault_lab import PROGRAM, Lab, die, sum_of_point
from slurm_lab import facts, must_complete, submit

BITS = ["3.5", "4", "5", "6"]


def require_sweep_command():
    usage = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True).stdout
    if "\n  sweep " not in usage:
        print("SKIPPED: this build has no command sweep")
        sys.exit(77)


def check_summary(job):
    points = json.loads((job.output / "sweep.json").read_text())["points"]
    with open(job.output / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    if len(points) != len(BITS) or len(rows) != len(BITS):
        die(f"{len(points)} points and {len(rows)} rows for {len(BITS)} points: {points} {rows}")
    table = (job.output / "sweep.txt").read_text()
    if "not done" in table:
        die(f"a point is not done: {table}")
    print(table)


require_sweep_command()
with Lab(layers=2) as lab:
    job = lab.job()
    with open(job.file, "a") as file:
        file.write(f"sweep: {{bpw: [{', '.join(BITS)}]}}\n")
    shared = submit("quantize_many_nodes.sbatch", job, "--nodes=2", "--ntasks-per-node=2",
                    STAGE="measure")
    array = submit("sweep_array.sbatch", job, f"--dependency=afterok:{shared}",
                   "--kill-on-invalid-dep=yes", f"--array=0-{len(BITS) - 1}%2")
    must_complete(job, shared)
    for point in range(len(BITS)):
        known = must_complete(job, f"{array}_{point}")
        if known["ArrayTaskId"] != str(point):
            die(f"another task than {point}: {known}")
    if set(job.started().values()) != {1}:
        die(f"measured more than once: {job.started()} {facts(shared)}")

    folders = sorted(p for p in job.output.iterdir() if p.is_dir())
    if len(folders) != len(BITS):
        die(f"not {len(BITS)} folders: {folders}")
    for bits, folder in zip(BITS, folders):
        alone = lab.job(bpw=bits)
        alone.must_finish()
        if sum_of_point(folder) != alone.sum():
            die(f"{folder}: other bytes than a plain run at {bits} bits")
    check_summary(job)
    print(f"an array of {len(BITS)} points after one measure job: {len(folders)} folders with the "
          "bytes of plain runs, one summary, every layer measured once")
