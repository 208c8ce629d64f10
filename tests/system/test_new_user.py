#!/usr/bin/env python3
"""README's way from a model folder to an EXL2 folder with a report, as it stands there, with the files that the source has: the
job file in under ten lines, one command. Then the same from a text. Called as: TEST.py PROGRAM SOURCE_DIR SHARED_DATA."""
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


def mpirun(command):
    environment = dict(os.environ, PATH=f"{PROGRAM.parent}:{os.environ['PATH']}", OMPI_ALLOW_RUN_AS_ROOT="1",
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1")
    done = subprocess.run(command, shell=True, env=environment, stderr=subprocess.PIPE, text=True)
    check(done.returncode == 0, done.stderr)
    check("\r" not in done.stderr, "a carriage return in a log")


def check_figures(told, got, what):
    # Other vector units round differently; the output shown is of AVX-512.
    for shown, figure in zip(told, got):
        check(abs(float(shown) / float(figure) - 1) < 0.01, f"{what}: README shows {told}, the run gives {got}")


def as_typed(section):
    yaml = re.search(r"```yaml\n(.*?)```", section, re.S)[1]
    commands = re.findall(r"^\$ (.*)$", section, re.M)
    check(len(yaml.splitlines()) < 10, f"{len(yaml.splitlines())} lines of YAML")
    check(commands[0] == "mpirun -n 2 shardquant run job.yaml", f"README begins with: {commands[0]}")
    os.symlink(SOURCE / "configs", "configs")
    Path("job.yaml").write_text(yaml)
    mpirun(commands[0])
    for name in ("README.md", "config.json", "measurement.json", "plan.json", "checksums.xxh128"):
        check(Path("out", name).is_file(), f"no {name} in the output folder")
    check(subprocess.run([PROGRAM, "verify", "out"], stdout=subprocess.DEVNULL).returncode == 0, "verify")
    check(Path("work/report.html").read_text().startswith("<!doctype html>"), "no report page")
    evaluation = json.loads(Path("work/report.json").read_text())["evaluation"]
    got = evaluation["perplexity"], evaluation["plain_perplexity"]
    check_figures(re.search(r"perplexity ([\d.]+), of the model ([\d.]+)", section).groups(), got, "the run")
    words = re.search(r"`shardquant (eval out .*?)`", section)[1].split()
    line = subprocess.run([PROGRAM, *words, "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    check_figures([re.search(r"\| 4.0 \| ([\d.]+) \|", section)[1]], [json.loads(line)["perplexity"]], "eval")
    return len(yaml.splitlines()), got


def from_text():
    """Rows of a text are the ids that were recorded, and the text's perplexity is the checked one."""
    model, text = SHARED / "models/stories260K-pad192-sharded", SHARED / "data/text/tiny.utf8"
    if not model.is_dir() or not text.is_file():
        return "shared data absent: no run from a text"
    shutil.copy(text, "stories.txt")
    Path("text.yaml").write_text(f"version: 1\nmodel: {{path: {model}}}\ncalibration: {{text: stories.txt, rows: 64, "
                                 "length: 256}\nallocate: {bpw: 4.0}\noutput: {dir: out_text}\nwork: {dir: work_text}\n")
    mpirun("mpirun -n 2 shardquant run text.yaml")
    ids = (SHARED / "data/tokens/tinystories_tok512.i32").read_bytes()
    rows = Path("work_text/calibration_rows.i32").read_bytes() + Path("work_text/validation_rows.i32").read_bytes()
    check(ids.startswith(rows) and len(rows) == (64 + 32) * 256 * 4, "the rows are not the checked ids")
    check(Path("out_text/tokenizer.json").is_file(), "no tokenizer in the output folder")
    plain = subprocess.run([PROGRAM, "eval", model, "--text", "stories.txt", "--json"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout
    per_story = json.loads(plain)["perplexity"]
    check(abs(per_story - 4.54144) < 1e-4, f"perplexity per story {per_story}")
    return f"per story of a text file {per_story:.5f} (checked value 4.54144)"


def main():
    section = (SOURCE / "README.md").read_text().split(HEADING + "\n")[1].split("\n## ")[0]
    lines, (quantized, plain) = as_typed(section)
    print(f"README as typed: {lines} lines of YAML, perplexity {quantized:.5f} (plain {plain:.5f}); {from_text()}")


home = tempfile.mkdtemp(prefix="new-user-")
try:
    os.chdir(home)
    main()
finally:
    shutil.rmtree(home)
