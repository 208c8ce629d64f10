"""The bytes of whole runs are those that are written down, on 1 and on 3 ranks.

Usage: test_golden_bytes.py PROGRAM SOURCE_FOLDER SHARED_DATA [--record]

What a run rounds depends on the vector unit and on OpenBLAS, and on nothing else: the file has a
table for every pair that was recorded, and is skipped on others. --record adds this machine's.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM, SOURCE, SHARED = (Path(a).resolve() for a in sys.argv[1:4])
RECORD = "--record" in sys.argv[4:]
GOLDEN = SOURCE / "tests/data/golden_bytes.json"
SKIPPED = 77

JOB = """version: 1
model: {{path: model}}
calibration: {{tokens: tokens.i32, rows: {rows}, length: {length}, slice_rows: 8}}
measure: {{options: exl2-2023, err_norm: {norm}}}
allocate: {{bpw: {bpw}, objective: sum, head_bits: 6}}
output: {{dir: out}}
work: {{dir: work}}
device: {{kind: cpu, threads: 1}}
"""

# Name, model and tokens (below the shared data or the source folder), rows, length, norm, bpw.
STORIES_TOKENS = "data/tokens/tinystories_tok512.i32"
RUNS = [
    ("demo 4.0", SOURCE / "configs/demo/model", SOURCE / "configs/demo/calibration.i32", 64, 256,
     "pooled", 4.0),
    ("stories260K 4.0", SHARED / "models/stories260K-pad192-sharded", SHARED / STORIES_TOKENS, 64,
     256, "pooled", 4.0),
    ("stories260K 5.0", SHARED / "models/stories260K-pad192-sharded", SHARED / STORIES_TOKENS, 64,
     256, "pooled", 5.0),
    ("stories260K 6.0", SHARED / "models/stories260K-pad192-sharded", SHARED / STORIES_TOKENS, 64,
     256, "pooled", 6.0),
    ("stories260K 4.0 row_mean", SHARED / "models/stories260K-pad192-sharded",
     SHARED / STORIES_TOKENS, 64, 256, "row_mean", 4.0),
    ("stories3M 3.0", SHARED / "models/stories3M", SHARED / STORIES_TOKENS, 32, 256, "pooled", 3.0),
]


def die(text):
    print(f"FAILED: {text}", file=sys.stderr)
    sys.exit(1)


def sums_of(folder):
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(folder.rglob("*")) if file.is_file()}


def run(model, tokens, ranks, **settings):
    """The sums of the output's files, and what the numbers were computed with."""
    folder = Path(tempfile.mkdtemp(prefix="golden-"))
    try:
        (folder / "model").symlink_to(model)
        shutil.copy(tokens, folder / "tokens.i32")
        (folder / "job.yaml").write_text(JOB.format(**settings))
        launcher = [] if ranks == 1 else ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n",
                                          str(ranks)]
        done = subprocess.run([*launcher, PROGRAM, "run", "job.yaml"], cwd=folder, text=True,
                              capture_output=True)
        if done.returncode != 0:
            die(f"exit {done.returncode}: {done.stderr}")
        kind = re.search(r"cpu \(([^,]+, OpenBLAS [^,)]+)", done.stderr + done.stdout)
        return sums_of(folder / "out"), kind.group(1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    checked = files = 0
    for name, model, tokens, rows, length, norm, bpw in RUNS:
        if not model.exists():
            print(f"left out: {name}: {model} is not there")
            continue
        for ranks in (1, 3):
            sums, kind = run(model, tokens, ranks, rows=rows, length=length, norm=norm, bpw=bpw)
            if RECORD:
                golden.setdefault(kind, {}).setdefault(name, sums)
            if kind not in golden:
                print(f"SKIPPED: no bytes are recorded for {kind}; there are some for "
                      f"{', '.join(golden)}")
                sys.exit(SKIPPED)
            want = golden[kind][name]
            if sums != want:
                other = [f for f in sorted(want.keys() | sums.keys()) if want.get(f) != sums.get(f)]
                die(f"{name} on {ranks} rank(s), {kind}: other bytes in {', '.join(other)}")
            checked += 1
            files += len(sums)
    if RECORD:
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
    if checked == 0:
        print("SKIPPED: none of the models is there")
        sys.exit(SKIPPED)
    print(f"{checked} runs, {files} files: the bytes that are written down")


os.environ.pop("OMP_NUM_THREADS", None)
main()
