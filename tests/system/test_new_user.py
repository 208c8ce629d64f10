#!/usr/bin/env python3
"""README's way from a model folder and a text file to an EXL2 folder with a report, as it stands there: the job file in
under ten lines, one command. Called as: TEST.py PROGRAM SOURCE_DIR SHARED_DATA."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM, SOURCE, SHARED = (Path(a).resolve() for a in sys.argv[1:4])
HEADING = "## From a model and a text to an EXL2 folder"


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)


def main():
    section = (SOURCE / "README.md").read_text().split(HEADING + "\n")[1].split("\n## ")[0]
    yaml = re.search(r"```yaml\n(.*?)```", section, re.S)[1]
    commands = re.findall(r"^\$ (.*)$", section, re.M)
    check(len(yaml.splitlines()) < 10, f"{len(yaml.splitlines())} lines of YAML")
    check(commands[0] == "mpirun -n 2 shardquant run job.yaml", f"README begins with: {commands[0]}")

    job = dict(re.findall(r"(path|text): ([^,}]*)", yaml))
    model = SHARED / "models" / Path(job["path"]).name
    text = SHARED / "data/text/tiny.utf8"
    if not model.is_dir() or not text.is_file():
        print(f"SKIPPED: shared data absent: {model}")
        sys.exit(77)
    Path(job["path"]).parent.mkdir(parents=True)
    os.symlink(model, job["path"])
    shutil.copy(text, job["text"])
    Path("job.yaml").write_text(yaml)
    environment = dict(os.environ, PATH=f"{PROGRAM.parent}:{os.environ['PATH']}", OMPI_ALLOW_RUN_AS_ROOT="1",
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1")
    done = subprocess.run(commands[0], shell=True, env=environment, stderr=subprocess.PIPE, text=True)
    check(done.returncode == 0, done.stderr)
    check("\r" not in done.stderr, "a carriage return in a log")

    ids = (SHARED / "data/tokens/tinystories_tok512.i32").read_bytes()
    rows = Path("work/calibration_rows.i32").read_bytes() + Path("work/validation_rows.i32").read_bytes()
    check(ids.startswith(rows) and len(rows) == (64 + 32) * 256 * 4, "the rows are not the checked ids")
    for name in ("README.md", "config.json", "measurement.json", "plan.json", "tokenizer.json"):
        check(Path("out", name).is_file(), f"no {name} in the output folder")
    check(subprocess.run([PROGRAM, "verify", "out"], stdout=subprocess.DEVNULL).returncode == 0, "verify")
    report = json.loads(Path("work/report.json").read_text())
    check(Path("work/report.html").read_text().startswith("<!doctype html>"), "no report page")
    evaluation = report["evaluation"]
    # The table of README is made of this very run.
    told = re.search(r"perplexity ([\d.]+), of the model ([\d.]+)", section)
    ours = f"{evaluation['perplexity']:.5f}", f"{evaluation['plain_perplexity']:.5f}"
    # Other vector units round differently; the output shown is of AVX-512.
    for shown, got in zip(told.groups(), ours):
        check(abs(float(shown) / float(got) - 1) < 0.01, f"README shows {told.groups()}, the run gives {ours}")
    plain = subprocess.run([PROGRAM, "eval", job["path"], "--text", job["text"], "--json"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout
    per_story = json.loads(plain)["perplexity"]
    check(abs(per_story - 4.50704) < 1e-4, f"perplexity per story {per_story}")
    print(f"{len(yaml.splitlines())} lines of YAML; perplexity {ours[0]} (plain {ours[1]}), KL {evaluation['kl_mean']:.6g}; "
          f"per story of the text file {per_story:.5f} (checked value 4.50704)")


home = tempfile.mkdtemp(prefix="new-user-")
try:
    os.chdir(home)
    main()
finally:
    shutil.rmtree(home)
