#!/usr/bin/env python3
"""What `solve` can, a job file can: constraints, objectives, sizes, plans and measurements that are brought along, with
the plan that `solve` makes of the same measurement. Called as: TEST.py PROGRAM MAKE_MODEL."""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM, MAKE_MODEL = (Path(a).resolve() for a in sys.argv[1:3])
BAD_DATA, NO_INPUT, CONFIG = 65, 66, 78
# What a run adds to the plan: sizes on disk, known where the model is.
SIZES = ("stored_bits", "folder_bytes")

JOB = """version: 1
model: {{path: model}}
calibration: {{tokens: tokens.i32, rows: 8, length: 32, slice_rows: 2}}
measure: {{file: {measurement}}}
allocate: {{{allocate}}}
output: {{dir: out}}
work: {{dir: work}}
evaluation: {{rows: 0}}
device: {{kind: cpu}}
"""


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)


def run(*words):
    return subprocess.run([str(word) for word in (PROGRAM, *words)], capture_output=True, text=True)


def job(allocate, measurement="measured/measurement.json", **settings):
    """A run in folders of its own; what it says, and its plan."""
    subprocess.run(["rm", "-rf", "work", "out"], check=True)
    Path("job.yaml").write_text(JOB.format(allocate=allocate, measurement=measurement))
    done = run("run", "job.yaml", *(word for key, value in settings.items() for word in ("-s", f"{key}={value}")))
    return done, Path("out/plan.json").read_text() if done.returncode == 0 else ""


def without_sizes(text):
    plan = json.loads(text)
    return {key: value for key, value in plan.items() if key not in SIZES}


def same_as_solve(name, allocate, *words):
    done, plan = job(allocate)
    check(done.returncode == 0, f"{name}: {done.stderr}")
    solved = run("solve", "--measurement", "measured/measurement.json", *words, "--out", "solved.json", "--force")
    check(solved.returncode == 0, f"{name}: solve: {solved.stderr}")
    check(without_sizes(plan) == without_sizes(Path("solved.json").read_text()), f"{name}: another plan than solve's")
    return json.loads(plan)


def check_constraints():
    cases = [
        ("floor", "bpw: 4.5, floor: '*.o_proj=5'", ["--bpw", "4.5", "--floor", "*.o_proj=5"]),
        ("several", "bpw: 5, floor: ['*.q_proj=4', '*.k_proj=4'], ceiling: ['re:.*mlp.*=6']",
         ["--bpw", "5", "--floor", "*.q_proj=4", "--floor", "*.k_proj=4", "--ceiling", "re:.*mlp.*=6"]),
        ("pin", "bpw: 5, pin: ['model.layers.0.*=1.0:4b 32g s4', '*.1.mlp.up_proj=#3']",
         ["--bpw", "5", "--pin", "model.layers.0.*=1.0:4b 32g s4", "--pin", "*.1.mlp.up_proj=#3"]),
        ("ties", "bpw: 5, tie: ['*.[qk]_proj'], tie_all: ['*.down_proj']",
         ["--bpw", "5", "--tie", "*.[qk]_proj", "--tie-all", "*.down_proj"]),
        ("objective", "bpw: 5, objective: minimax_sum, tolerance: 0.001",
         ["--bpw", "5", "--objective", "minimax_sum", "--tolerance", "0.001"]),
        ("weights", "bpw: 5, objective: weighted, weights: weights.json",
         ["--bpw", "5", "--objective", "weighted", "--weights", "weights.json"]),
    ]
    Path("weights.json").write_text('{"*.down_proj": 3, "*.q_proj": 0.5}')
    for name, allocate, words in cases:
        same_as_solve(name, allocate, *words)
    pinned = same_as_solve(*cases[2][:2], *cases[2][2])
    descs = {str(choice.get("desc") if isinstance(choice, dict) else choice)
             for layer, choice in pinned["choices"].items() if layer.startswith("model.layers.0.")}
    check(descs == {"1.0:4b 32g s4"}, f"pinned layers have {descs}")
    return len(cases)


def check_size():
    solved = ["--size", "200kB", "--model", "model"]
    plan = same_as_solve("size", "size: 200kB", *solved)
    check(Path("out/plan.json").read_bytes() == Path("solved.json").read_bytes(), "size: other bytes than solve's plan")
    weight = sum(file.stat().st_size for file in Path("out").iterdir())
    check(0.9 * 200_000 < weight <= 200_000, f"the folder weighs {weight}, 200 kB were asked for")
    done, _ = job("size: 1kB")
    check(done.returncode == CONFIG and "smallest reachable" in done.stderr, f"too small: {done.stderr}")
    return weight, plan


def check_plan():
    run("solve", "--measurement", "measured/measurement.json", "--bpw", "6", "--out", "mine.json").check_returncode()
    done, plan = job("plan: mine.json")
    check(done.returncode == 0, f"plan: {done.stderr}")
    check(plan == Path("mine.json").read_text(), "a plan that was brought along is another one in the output")
    check("as planned in mine.json" in done.stderr, done.stderr)
    Path("wrong.json").write_text(plan.replace("layers.0.self_attn.q_proj", "layers.9.self_attn.q_proj"))
    done, _ = job("plan: wrong.json")
    check(done.returncode == BAD_DATA and "layers.9" in done.stderr and "wrong.json" in done.stderr, done.stderr)


def check_measurement():
    done, _ = job("bpw: 5")
    check("measured by" in done.stderr and "layer_measured" not in Path("work/events.jsonl").read_text(),
          f"measured in spite of measure.file: {done.stderr}")
    check(Path("out/measurement.json").read_bytes() == Path("measured/measurement.json").read_bytes(),
          "the measurement of the output is not the one brought along")
    check(run("verify", "out").returncode == 0, "verify")
    # The same bytes as where the job measures itself.
    own = run("run", "first.yaml", "-s", "allocate.bpw=5", "-s", "output.dir=own")
    check(own.returncode == 0, own.stderr)
    check(Path("own/model.safetensors").read_bytes() == Path("out/model.safetensors").read_bytes(),
          "other weights than where the job measures itself")
    text = Path("measured/measurement.json").read_text()
    for wrong, words in ((text.replace("layers.1.", "layers.7."), ["layers.7"]),
                         (re.sub(r'"desc": "[^"]*"', '"desc": "1.00:9b 32g s4"', text, count=1), ["1.00:9b"])):
        Path("other.json").write_text(wrong)
        done, _ = job("bpw: 5", measurement="other.json")
        check(done.returncode == BAD_DATA and "other.json" in done.stderr and all(w in done.stderr for w in words),
              f"{words}: {done.returncode} {done.stderr}")
    done, _ = job("bpw: 5", measurement="none.json")
    check(done.returncode == NO_INPUT, f"no measurement: {done.stderr}")


def check_format_ties():
    """A plan that parts what the format's readers load as one layer is refused before any work."""
    other = ("-s", "output.format=compressed-tensors", "-s", "allocate.head_bits=16")
    own = run("run", "first.yaml", *other, "-s", "output.dir=packed", "-s", "work.dir=packed-work")
    check(own.returncode == 0, own.stderr)
    plan = json.loads(Path("packed/plan.json").read_text())
    choices = plan["choices"]
    query, key = (f"model.layers.0.self_attn.{name}_proj" for name in "qk")
    check(choices[query] == choices[key], f"{query} and {key} are not tied")
    measured = json.loads(Path("packed/measurement.json").read_text())["measurement"]
    options = {option["desc"] for layer in measured if layer["key"] == query for option in layer["options"]}
    choices[query] = min(options - {choices[query]})
    plan["recipes"] = {}
    Path("parted.json").write_text(json.dumps(plan))
    Path("parted.yaml").write_text(Path("first.yaml").read_text().replace("bpw: 4", "plan: parted.json"))
    done = run("run", "parted.yaml", *other, "-s", "output.dir=parted", "-s", "work.dir=packed-work")
    check(done.returncode == BAD_DATA and "share one option" in done.stderr and query in done.stderr, done.stderr)
    check(not Path("parted").exists(), "an output folder of a plan that was refused")


def check_refused():
    for allocate, words in (("bpw: 4, size: 1GB", ["allocate.bpw and allocate.size"]), ("size: 12 parsecs", ["GiB"]),
                            ("bpw: 5, floor: ['x']", ["floor"]), ("bpw: 5, pin: [[a]]", ["allocate.pin", "a list"]),
                            ("bpw: 5, objective: sum, weights: weights.json", ["weighted"])):
        done, _ = job(allocate)
        check(done.returncode == CONFIG and all(word in done.stderr for word in words),
              f"{allocate}: {done.returncode} {done.stderr}")
        check(not Path("out").exists(), f"{allocate}: an output folder")


def main():
    subprocess.run([MAKE_MODEL, "model", "--hidden", "64", "--heads", "2", "--kv-heads", "2", "--ffn", "96", "--layers",
                    "2", "--vocab", "257", "--tokens-file", "tokens.i32", "--tokens", "512"], check=True,
                   stdout=subprocess.DEVNULL)
    Path("first.yaml").write_text(JOB.format(allocate="bpw: 4", measurement="x").replace("measure: {file: x}\n", "")
                                  .replace("dir: out", "dir: first").replace("dir: work", "dir: measured"))
    done = run("run", "first.yaml")
    check(done.returncode == 0, done.stderr)
    cases = check_constraints()
    weight, _ = check_size()
    check_plan()
    check_measurement()
    check_format_ties()
    check_refused()
    print(f"{cases} allocations are solve's; 200 kB asked, {weight} bytes made; plan and measurement brought along")


with tempfile.TemporaryDirectory(prefix="allocation-") as home:
    os.chdir(home)
    main()
    os.chdir("/")
