#!/usr/bin/env python3
"""What a sweep of six sizes costs against its stages run one by one, side by side.

Arguments: PROGRAM DEMO_JOB. On the model of the job file, in one process: a launcher's start and end
would be a third of what a sweep of this model takes.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM, DEMO = (Path(a).resolve() for a in sys.argv[1:3])
BITS = ["2.8", "3.2", "3.7", "4.2", "5", "6"]
MOST = 1.3


def die(text):
    print(f"FAILED: {text}", file=sys.stderr, flush=True)
    sys.exit(1)


def timed(*words):
    begin = time.monotonic()
    done = subprocess.run([PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        die(f"{words}: {done.stderr}")
    return time.monotonic() - begin


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def stage_seconds(folder, stage):
    """Of all runs in a work folder."""
    total = 0.0
    for event in events(folder):
        if event.get("phase") == stage and event["event"] in ("phase_start", "phase_end"):
            total += event["t"] if event["event"] == "phase_end" else -event["t"]
    return total


def measured(folder):
    return sum(event["event"] == "layer_measured" for event in events(folder))


def one_round(folder, common):
    """Seconds of the sweep, of its stages run one by one, and of the commands that run them."""
    text = DEMO.read_text().replace("path: ", f"path: {DEMO.parent}/").replace("tokens: ", f"tokens: {DEMO.parent}/")
    job = folder / "sweep.yaml"
    job.write_text(text + f"\nsweep: {{bpw: [{', '.join(BITS)}]}}\n")
    sweep = timed("sweep", "run", job, *common, "-s", f"output.dir={folder}/out", "-s", f"work.dir={folder}/work")

    single = ["-s", f"work.dir={folder}/single"]
    commands = timed("measure", DEMO, *common, *single)
    commands += sum(timed("quantize", DEMO, *common, *single, "-s", f"output.dir={folder}/out-{bits}", "-s",
                          f"allocate.bpw={bits}") for bits in BITS)
    layers = measured(folder / "work")
    if measured(folder / "single") != layers:
        die(f"{layers} layers measured by the sweep, {measured(folder / 'single')} by one measure command")
    for bits in BITS:
        for file in sorted((folder / f"out-{bits}").iterdir()):
            if file.read_bytes() != (folder / "out" / f"bpw-{bits}" / file.name).read_bytes():
                die(f"{bits} bits: {file.name} differs")
    stages = stage_seconds(folder / "single", "measure") + stage_seconds(folder / "single", "quantize")
    return sweep, stages, commands, layers


# Without the evaluation, which is no part of the stages. The model is small: a single round says little.
os.chdir(DEMO.parent)
rounds = []
for _ in range(5):
    with tempfile.TemporaryDirectory(prefix="sweep-cost-") as name:
        rounds.append(one_round(Path(name), ["-s", "evaluation.rows=0", "-s", "quantize.hessians=keep"]))
sweep, stages, commands, layers = (statistics.median(column) for column in zip(*rounds))
print(f"sweep of {len(BITS)}: {sweep:.2f} s; its stages alone {stages:.2f} s: ratio {sweep / stages:.3f}; the same as "
      f"{1 + len(BITS)} commands {commands:.2f} s: ratio {sweep / commands:.3f} (medians of {len(rounds)} rounds side by "
      f"side); {layers} layers, each measured once")
if sweep > MOST * stages:
    die(f"more than {MOST} times its stages")
