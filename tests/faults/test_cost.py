#!/usr/bin/env python3
"""CKPT-COST: what the default checkpoints cost of a measure stage, and how fast a signal ends it."""
import json
import os
import signal
import statistics
import time

from fault_lab import OWN_ARGUMENTS, TRY_AGAIN, Lab, die, kill_all, ranks_of, wait_for

seconds_wanted = float(OWN_ARGUMENTS[0])
RANKS = 2


def events(job):
    return [json.loads(line) for line in (job.work / "events.jsonl").read_text().splitlines()]


def measure_and_cost(job):
    """Seconds of the measure stage and of the checkpoints in it."""
    begin = end = cost = 0.0
    for event in events(job):
        if event["event"] == "phase_start" and event["phase"] == "measure":
            begin = event["t"]
        elif event["event"] == "phase_end" and event["phase"] == "measure":
            end = event["t"]
        elif event["event"] == "checkpoint_end":
            cost += event["dur_s"]
    return end - begin, cost


def lab_of(layers):
    return Lab(layers=layers, hidden=1024, ffn=2816, vocab=512, rows=24, length=128, shards=4)


def stage_is_over(job):
    if not (job.work / "events.jsonl").exists():
        return False
    return any(event["event"] == "phase_end" for event in events(job))


def check_cost(lab):
    """Seconds of a measure stage; whether its checkpoints are cheap, where it is long enough to tell."""
    # The default interval is longer than this stage, so one in proportion stands in for it: a
    # generation every 30 s of a stage of a minute costs more of it than one every 300 s.
    job = lab.job(every_s=30, hessians="recompute")
    process = job.start(RANKS)
    wait_for(lambda: process.poll() is not None or stage_is_over(job), 900, "the measure stage")
    kill_all(process)
    seconds, cost = measure_and_cost(job)
    if seconds < seconds_wanted:
        print(f"the measure stage took only {seconds:.1f} s: once more with more layers", flush=True)
        return seconds
    written = [e for e in events(job) if e["event"] == "checkpoint_end"]
    if not written:
        die("no checkpoint was written")
    share = cost / seconds
    print(f"{len(written)} checkpoints of {written[-1]['bytes']} bytes took {cost:.2f} s of a measure stage "
          f"of {seconds:.1f} s: {100 * share:.2f} %")
    if share > 0.02:
        die("checkpoints cost more than 2 %")
    return seconds


def check_signals(lab):
    waits = []
    for layers in (5, 17, 30):
        job = lab.job(hessians="recompute")
        process = job.start(RANKS)
        wait_for(lambda: sum(job.started().values()) >= layers, 300, f"{layers} layers")
        begin = time.monotonic()
        for pid in ranks_of(process):
            os.kill(pid, signal.SIGUSR1)
        if process.wait(90) != TRY_AGAIN:
            die("USR1 did not end the job with 75")
        waits.append(time.monotonic() - begin)
        job.remove()
    print(f"from signal to exit {max(waits):.1f} s at most (median {statistics.median(waits):.1f} s)")
    if max(waits) > 60:
        die("more than 60 s from signal to exit")


layers = 12
while True:  # as many layers as take long enough here: machines differ
    with lab_of(layers) as lab:
        seconds = check_cost(lab)
        if seconds >= seconds_wanted:
            check_signals(lab)
            break
    layers = int(1.2 * layers * seconds_wanted / seconds) + 1
