#!/usr/bin/env python3
"""Follows the events.jsonl of a job, while it runs and after, until the job has ended; shows how to feed a tracker.
Usage: follow_events.py WORK_DIR/events.jsonl"""
import json
import sys
import time


def log(step, values):
    """Here goes the tracker, as wandb.log(values, step=step) or mlflow.log_metrics(values, step)."""
    print(step, values, flush=True)


with open(sys.argv[1], encoding="utf-8") as events:
    step, line = 0, ""
    while True:
        line += events.readline()
        if not line.endswith("\n"):  # not there yet, or not whole
            time.sleep(0.5)
            continue
        event, line, step = json.loads(line), "", step + 1
        if event["event"] in ("progress", "layer_measured", "layer_quantized", "evaluation"):
            log(step, {f'{event["phase"]}/{key}': value for key, value in event.items() if isinstance(value, float)})
        if event["event"] == "run_end":
            sys.exit(event["exit_code"])
