#!/usr/bin/env python3
"""A run that is watched while it works: what any rank has measured, and how far the whole is, is in events.jsonl within
a second or two; a long phase keeps telling; scripts/follow_events.py ends with the run's code; every size keeps its
report. Called as: TEST.py PROGRAM MAKE_MODEL SOURCE_DIR."""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM, MAKE_MODEL, SOURCE = (Path(a).resolve() for a in sys.argv[1:4])
LATE = 2.0  # seconds; the machine of the tests is shared

JOB = """version: 1
model: {path: model}
calibration: {tokens: tokens.i32, rows: 12, length: 32, slice_rows: 2}
allocate: {bpw: 4.5}
output: {dir: out}
work: {dir: work}
device: {kind: cpu}
"""


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)


def ranks(count, *words, **variables):
    launcher = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(count)] if count > 1 else []
    return subprocess.Popen([*launcher, PROGRAM, *words], env=dict(os.environ, **variables), stderr=subprocess.PIPE,
                            text=True)


def events():
    file = Path("work/events.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def watch(run):
    """By layer the seconds from the record on disk to its event, while the run works."""
    late, follower = {}, None
    while run.poll() is None:
        if follower is None and Path("work/events.jsonl").exists():
            follower = subprocess.Popen([SOURCE / "scripts/follow_events.py", "work/events.jsonl"],
                                        stdout=subprocess.PIPE, text=True)
        now = time.time()
        told = {event["layer"] for event in events() if event["event"] == "layer_measured"}
        for record in Path("work/measurements").glob("model.layers.*.h5") if Path("work/measurements").is_dir() else ():
            layer = record.name.removesuffix(".h5")
            if layer in told:
                late.setdefault(layer, 0.0)
            elif layer not in late and now - record.stat().st_mtime > LATE:
                late[layer] = now - record.stat().st_mtime
        time.sleep(0.1)
    return late, follower


def check_progress(happened):
    progress = [event for event in happened if event["event"] == "progress"]
    phases = {event["phase"] for event in progress}
    check(phases >= {"measure", "quantize", "evaluate"}, f"progress of {phases}")
    for phase in phases:
        steps = [event for event in progress if event["phase"] == phase]
        check(all(a["percent"] <= b["percent"] for a, b in zip(steps, steps[1:])), f"{phase}: the percent goes back")
        check(steps[-1]["percent"] == 100 and steps[-1]["done"] == steps[-1]["items"], f"{phase} ends with {steps[-1]}")
        check(len({(event["unit"], event["items"]) for event in steps}) == 1, f"{phase}: units change")
    groups = {event["items"] for event in progress if event["phase"] in ("measure", "quantize")}
    return len(progress), groups


def main():
    subprocess.run([MAKE_MODEL, "model", "--hidden", "64", "--heads", "2", "--kv-heads", "2", "--ffn", "96", "--layers",
                    "3", "--vocab", "257", "--tokens-file", "tokens.i32", "--tokens", str(24 * 32)], check=True,
                   stdout=subprocess.DEVNULL)
    Path("job.yaml").write_text(JOB)
    points = subprocess.run([PROGRAM, "--list-fault-points"], stdout=subprocess.PIPE, text=True).stdout
    if "layer_measured" not in points:
        print("SKIPPED: a build without fault points")
        sys.exit(77)
    # Both ranks take half a second and more for every layer.
    slow = ";".join(f"point=layer_started,rank={rank},count={count},action=sleep:0.6" for rank in (0, 1)
                    for count in range(1, 12))
    run = ranks(2, "run", "job.yaml", SHARDQUANT_FAULT=slow)
    late, follower = watch(run)
    check(run.returncode == 0, run.stderr.read())
    check(len(late) == 21 and max(late.values()) == 0.0, f"layers told late or not at all: {late}")
    happened = events()
    told = [event for event in happened if event["event"] == "layer_measured"]
    check(len({event["layer"] for event in told}) == len(told) == 21, f"{len(told)} layers told")
    check({event["rank"] for event in told} == {0, 1}, "not of both ranks")
    places = [index for index, event in enumerate(happened) if event["event"] in ("layer_measured", "phase_end")]
    check(happened[places[21]]["event"] == "phase_end", "a layer is told after the end of its phase")
    count, groups = check_progress(happened)
    follower.wait(timeout=20)
    check(follower.returncode == 0, f"follow_events.py ended with {follower.returncode}")
    followed = follower.stdout.read().splitlines()
    check(len(followed) > 21 and "evaluate/perplexity" in followed[-1] or any("evaluate/perplexity" in line
          for line in followed), f"follow_events.py printed {followed[-3:]}")

    # Another size in the same work folder: both reports are there.
    check(ranks(1, "run", "job.yaml", "-s", "allocate.bpw=6", "-s", "output.dir=out6").wait() == 0, "the second size")
    reports = sorted(Path("work/reports").glob("*.json"))
    sizes = [round(json.loads(file.read_text())["output"]["asked_bpw"], 2) for file in reports]
    check(sorted(sizes) == [4.5, 6] and len(list(Path("work/reports").glob("*.html"))) == 2, f"reports of {sizes}")
    check(json.loads(Path("work/report.json").read_text())["output"]["asked_bpw"] == 6, "the report of the last size")
    print(f"{len(told)} layers of 2 ranks told within {LATE} s of their records, {count} progress records "
          f"of {groups} groups, {len(followed)} lines followed, reports of {sizes} bits kept")


with tempfile.TemporaryDirectory(prefix="watched-") as home:
    os.chdir(home)
    main()
    os.chdir("/")
