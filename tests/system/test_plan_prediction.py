"""What `shardquant plan` foretells for this machine, from a profile that is measured first, against
what then happens: seconds of calibrating and measuring a generated model of 1.5 GB on one and two
ranks, and the memory of a rank. The seconds mean something on a machine that does nothing else.
Arguments: PROGRAM MAKE_MODEL BENCH_PROFILE [LAYERS [RANKS]]."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM, MAKE_MODEL, BENCH_PROFILE = sys.argv[1:4]
LAYERS = sys.argv[4] if len(sys.argv) > 4 else "16"
RANKS = sys.argv[5] if len(sys.argv) > 5 else "1,2"
JOB = """version: 1
model: {path: model}
calibration: {tokens: tokens.i32, rows: 16, length: 256, slice_rows: 4}
allocate: {bpw: 4.0}
quantize: {hessians: recompute}
evaluation: {rows: 0}
output: {dir: out}
work: {dir: work}
device: {kind: cpu, threads: 1}
"""


def main():
    subprocess.run([MAKE_MODEL, "model", "--hidden", "1536", "--heads", "12", "--kv-heads", "4", "--ffn", "3840",
                    "--layers", LAYERS, "--vocab", "2048", "--dtype", "F32", "--shards", "4", "--tokens-file",
                    "tokens.i32", "--tokens", "5000"], check=True, stdout=subprocess.DEVNULL)
    size = sum(p.stat().st_size for p in Path("model").iterdir())
    print(f"model of {size / 1e9:.2f} GB, load {os.getloadavg()[0]:.1f}", flush=True)
    Path("job.yaml").write_text(JOB)
    Path("here.yaml").write_text(subprocess.run([BENCH_PROFILE], check=True, capture_output=True, text=True).stdout)
    print(Path("here.yaml").read_text(), flush=True)
    shown = subprocess.run([PROGRAM, "plan", "job.yaml", "--machine", "here.yaml", "--ranks", RANKS, "--json"],
                           check=True, capture_output=True, text=True).stdout
    wrong = []
    for plan in json.loads(shown)["plans"]:
        ranks, work = plan["ranks"], f"work-{plan['ranks']}"
        predicted = sum(s["seconds"] for s in plan["stages"] if s["stage"] in ("calibrate", "measure"))
        busy = next(s["compute_s"] for s in plan["stages"] if s["stage"] == "measure")
        launcher = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)]
        result = subprocess.run([*launcher, PROGRAM, "measure", "job.yaml", "-s", f"work.dir={work}"],
                                stderr=subprocess.PIPE, text=True)
        if result.returncode != 0:
            sys.exit(f"FAILED: {ranks} rank(s): {result.stderr}")
        events = [json.loads(line) for line in Path(work, "events.jsonl").read_text().splitlines()]
        at = {e["event"]: e["t"] for e in events if e["phase"] == "measure"}
        took = at["phase_end"] - at["phase_start"]
        items = [0.0] * ranks
        for event in events:
            if event["event"] in ("layer_measured", "options_measured"):
                items[event["rank"]] += event["dur_s"]
        peak = next(e["peak_bytes"] for e in events if e["event"] == "run_end")
        bound = plan["host_bytes"]
        print(f"{ranks} rank(s): calibrate and measure {took:.1f} s, predicted {predicted:.1f} "
              f"({100 * (predicted / took - 1):+.0f} %); items of the busiest rank {max(items):.1f} s, predicted "
              f"{busy:.1f} ({100 * (busy / max(items) - 1):+.0f} %); peak {peak / 2**20:.0f} MiB, predicted "
              f"{bound / 2**20:.0f} ({bound / peak:.2f}x), load {os.getloadavg()[0]:.1f}", flush=True)
        if abs(predicted / took - 1) > 0.3:
            wrong.append(f"{ranks} rank(s): seconds off by more than 30 %")
        if not peak <= bound <= 1.5 * peak:
            wrong.append(f"{ranks} rank(s): predicted memory is not 1 to 1.5 times the measured")
    if wrong:
        print("FAILED: " + "; ".join(wrong), file=sys.stderr)
        sys.exit(1)


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    try:
        main()
    finally:
        os.chdir("/")
