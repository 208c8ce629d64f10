#!/usr/bin/env python3
"""The log of a run of more than three minutes without a terminal: no carriage return, at most one progress line per
30 s, the age of the last checkpoint in it, and times left whose median error over the second half of the run is under
25 %: of the stage and of the whole job. The machine should have nothing else to do. Called as: TEST.py PROGRAM
MAKE_MODEL."""
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM, MAKE_MODEL = (Path(a).resolve() for a in sys.argv[1:3])
LEAST_SECONDS, MOST_ERROR, PAUSE = 180, 0.25, 30

JOB = """version: 1
model: {{path: {home}/model}}
calibration: {{tokens: {home}/tokens.i32, rows: 32, length: 256, slice_rows: 4}}
allocate: {{bpw: 4.0}}
output: {{dir: {home}/out}}
work: {{dir: {home}/work}}
checkpoint: {{every_s: 40}}
"""


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)


def seconds(text):
    hours, minutes, rest = text.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + int(rest)


def run(home, layers):
    for name in ("work", "out", "model"):
        shutil.rmtree(home / name, ignore_errors=True)
    subprocess.run([MAKE_MODEL, home / "model", "--hidden", "768", "--heads", "12", "--kv-heads", "4", "--ffn", "2048",
                    "--layers", str(layers), "--vocab", "1024", "--dtype", "BF16", "--tokens-file",
                    home / "tokens.i32", "--tokens", str(64 * 256)], check=True, stdout=subprocess.DEVNULL)
    (home / "job.yaml").write_text(JOB.format(home=home))
    done = subprocess.run(["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", PROGRAM, "run",
                           home / "job.yaml"], stderr=subprocess.PIPE)
    check(done.returncode == 0, done.stderr.decode())
    return done.stderr


def main(home):
    # As many layers as take long enough here: machines differ.
    layers, log, whole = 44, b"", 0
    while True:
        log = run(home, layers)
        whole = max(seconds(m) for m in re.findall(r"^\[([\d:]+)\] end ", log.decode(), re.M))
        if whole >= LEAST_SECONDS:
            break
        print(f"{layers} layers took {whole} s")
        layers = int(layers * 1.2 * LEAST_SECONDS / max(whole, 1)) + 1
    text = log.decode()
    check(b"\r" not in log and b"\x1b" not in log, "a carriage return or an escape in the log")

    lines = [(seconds(at), stage, seconds(eta), seconds(job) if job else None) for at, stage, eta, job in re.findall(
        r"^\[([\d:]+)\] (\w+) .* eta (\d+:\d\d:\d\d)(?:, job (\d+:\d\d:\d\d))?", text, re.M)]
    ends = {stage: seconds(at) for at, stage in re.findall(r"^\[([\d:]+)\] (\w+) .* took ", text, re.M)}
    for (before, *_), (after, *_) in zip(lines, lines[1:]):
        check(after - before >= PAUSE - 1, f"two progress lines within {after - before} s")
    check(re.search(r"ckpt \d\d:\d\d:\d\d ago", text), "no age of a checkpoint")

    of_stage, of_job = [], []
    for at, stage, eta, job in lines:
        if at < whole / 2:
            continue
        if ends[stage] - at > 1:
            of_stage.append(abs(eta - (ends[stage] - at)) / (ends[stage] - at))
        if whole - at > 1:
            of_job.append(abs((job or eta) - (whole - at)) / (whole - at))
    check(len(of_stage) >= 2, f"{len(of_stage)} progress lines in the second half:\n{text}")
    errors = statistics.median(of_stage), statistics.median(of_job)
    check(max(errors) < MOST_ERROR, f"median errors: stage {errors[0]:.3f}, job {errors[1]:.3f}\n{text}")
    report = json.loads((home / "work/report.json").read_text())
    busy = [round(b, 1) for stage in report["stages"] if stage["name"] == "measure" for b in stage["busy_s"]]
    print(f"a run of {whole} s, {len(lines)} progress lines, none with a carriage return; median error of the time left "
          f"over the second half: stage {100 * errors[0]:.1f} %, job {100 * errors[1]:.1f} % of {len(of_stage)} lines; "
          f"ranks busy measuring for {busy} s")


folder = tempfile.mkdtemp(prefix="progress-")
try:
    main(Path(folder))
finally:
    shutil.rmtree(folder)
