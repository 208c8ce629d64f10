"""`shardquant plan`: what it prints for large models, what it refuses, and that real runs follow it,
item by item, with the same bytes whatever is cut. Arguments: PROGRAM MAKE_MODEL SHARED_DATA."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM, MAKE_MODEL, SHARED = sys.argv[1], sys.argv[2], Path(sys.argv[3] if len(sys.argv) > 3 else "")
RANKS = (1, 8, 64, 256, 1024)
GB = 10 ** 9

# The shape of Llama-3.1-405B.
LARGE = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16384,
    "intermediate_size": 53248, "num_attention_heads": 128, "num_key_value_heads": 8,
    "num_hidden_layers": 126, "vocab_size": 128256, "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "torch_dtype": "bfloat16",
    "tie_word_embeddings": False}

MACHINE = """version: 1
about: a test
node: {{ranks: {ranks}, cores: 64, host_gib: {host}}}
device: {{memory_gib: {device}}}
rates_are: per_rank
forward_gflops: 400000
hessian_gflops: 400000
factor_gflops: 20000
update_gflops: 40000
search_gsteps: 1500
sweep_gweights: 300
read_gb_s: 5
write_gb_s: 2
network_gb_s: 25
"""

JOB = """version: 1
model: {path: model}
calibration: {tokens: tokens.i32, rows: 8, length: 64, slice_rows: 2}
allocate: {bpw: 4.2}
output: {dir: out}
work: {dir: work}
device: {kind: cpu, threads: 1}
"""


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)


def run(*arguments, ranks=0, fault=""):
    launcher = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)] if ranks else []
    environment = dict(os.environ, **({"SHARDQUANT_FAULT": fault} if fault else {}))
    return subprocess.run([*launcher, PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          env=environment, timeout=240)


def plan(*arguments):
    result = run("plan", *arguments, "--json")
    check(result.returncode == 0, f"plan {arguments}: {result.stderr}")
    return json.loads(result.stdout)["plans"]


def stage(a_plan, name):
    return next(s for s in a_plan["stages"] if s["stage"] == name)


def check_large():
    Path("large.json").write_text(json.dumps(LARGE))
    Path("node.yaml").write_text(MACHINE.format(ranks=8, host=8 * 64 * GB / 2 ** 30,
                                                device=80 * GB / 2 ** 30))
    ranks = ",".join(map(str, RANKS))
    plans = plan("--config", "large.json", "--machine", "node.yaml", "--ranks", ranks)
    check([p["ranks"] for p in plans] == list(RANKS), "a plan for every number of ranks")
    for p in plans:
        balance = stage(p, "measure")["balance"]
        repeated = stage(p, "measure")["repeated_s"] / (p["ranks"] * stage(p, "measure")["mean_busy_s"])
        print(f"405B on {p['ranks']} ranks: measure balance {balance:.3f}, {100 * repeated:.0f} % done twice; "
              f"host {p['host_bytes'] / GB:.1f} GB, device {p['device_bytes'] / GB:.1f} GB")
        check(p["device_bytes"] < 80 * GB and p["host_bytes"] < 64 * GB or
              any(re.search(r"--ranks|calibration\.rows|rank\(s\) on a node", c) for c in p["complaints"]),
              f"{p['ranks']} ranks: neither fits nor says which setting would")
        wanted = {64: 0.95, 256: 0.85, 1024: 0.85}.get(p["ranks"], 0.9)
        check(balance >= wanted, f"balance {balance} on {p['ranks']} ranks")
        layers = {item["layer"] for item in p["measured"]}
        check(len(layers) == 7 * 126, f"{len(layers)} layers planned")
    text = run("plan", "--config", "large.json").stdout
    for want in ("calibrate", "measure", "quantize", "write", "work folder", "memory of a rank"):
        check(text.count(want) >= len(RANKS), f"{want} for every number of ranks")


def check_configs():
    for path in sorted((SHARED / "data" / "configs").glob("*.json")):
        result = run("plan", "--config", path, "--ranks", ",".join(map(str, RANKS)))
        first = (result.stdout.splitlines() or result.stderr.splitlines())[0]
        print(f"{path.name}: exit {result.returncode}: {first[:110]}")
        if result.returncode == 65:
            check("support" in result.stderr, f"{path.name}: {result.stderr}")
        else:
            check(result.returncode in (0, 78), f"{path.name}: {result.stderr}")


def check_refusals():
    Path("small.yaml").write_text(MACHINE.format(ranks=4, host=40, device=0))
    result = run("plan", "--config", "large.json", "--machine", "small.yaml", "--ranks", "4")
    check(result.returncode == 78, f"too small a machine: exit {result.returncode}")
    check("does not fit" in result.stderr, result.stderr)
    result = run("plan", "--config", "large.json", "--machine", "h300")
    check(result.returncode == 78 and "h200-peak" in result.stderr, result.stderr)
    result = run("plan")
    check(result.returncode == 64, f"nothing to plan: exit {result.returncode}")
    # Rows are what fills this one; what is proposed must fit.
    Path("rows.yaml").write_text(MACHINE.format(ranks=1, host=220, device=0))
    many = ["plan", "--config", "large.json", "--machine", "rows.yaml", "--ranks", "1"]
    result = run(*many, "-s", "calibration.rows=2048")
    found = re.search(r"calibration\.rows (\d+)", result.stderr)
    check(result.returncode == 78 and found, result.stderr)
    result = run(*many, "-s", f"calibration.rows={found[1]}")
    check(result.returncode == 0, f"calibration.rows {found[1]} was proposed: {result.stderr}")


def check_sbatch():
    result = run("plan", "--config", "large.json", "--machine", "node.yaml", "--ranks", "64", "--sbatch")
    check(result.returncode == 0, result.stderr)
    for line in ("--nodes=8", "--ntasks=64", "--ntasks-per-node=8", "--gpus-per-node=8", "--requeue",
                 "--signal=B:USR1@300", "--open-mode=append"):
        check(f"#SBATCH {line}\n" in result.stdout, f"{line} missing:\n{result.stdout}")
    check(re.search(r"#SBATCH --time=\d+:\d\d:00\n", result.stdout), result.stdout)
    check(subprocess.run(["bash", "-n"], input=result.stdout, text=True).returncode == 0, "bash -n")


def measured_items(work):
    events = [json.loads(line) for line in Path(work, "events.jsonl").read_text().splitlines()]
    parts = [e for e in events if e["event"] == "options_measured"]
    cut = {e["layer"] for e in parts}
    whole = [e for e in events if e["event"] == "layer_measured" and e["layer"] not in cut]
    items = {(e["layer"], e["options"], e["rank"], e["cost"]) for e in parts + whole}
    quantized = {(e["layer"], e["rank"], e["cost"]) for e in events if e["event"] == "layer_quantized"}
    return items, quantized, events


def check_real_runs(layers):
    subprocess.run([MAKE_MODEL, "model", "--hidden", "128", "--heads", "4", "--kv-heads", "2", "--ffn", "384",
                    "--layers", str(layers), "--vocab", "300", "--tokens-file", "tokens.i32", "--tokens", "600"],
                   check=True, stdout=subprocess.DEVNULL)
    Path("job.yaml").write_text(JOB)
    outputs = {}
    for ranks in (1, 4, 13):
        work, out = f"work-{layers}-{ranks}", f"out-{layers}-{ranks}"
        where = ["-s", f"work.dir={work}", "-s", f"output.dir={out}"]
        result = run("run", "job.yaml", *where, ranks=ranks)
        check(result.returncode == 0, result.stderr)
        check(re.search(r"balance +measure: [01]\.\d+ ", result.stderr), "no balance at the end of the run")
        planned = plan("job.yaml", "--machine", "xeon-2core", "--ranks", ranks)[0]
        items, quantized, events = measured_items(work)
        want = {(i["layer"], i["options"], i["rank"], i["cost"]) for i in planned["measured"]}
        check(items == want, f"{ranks} ranks: measured {sorted(items ^ want)[:4]} differ from the plan")
        want = {(i["layer"], i["rank"], i["cost"]) for i in planned["quantized"]}
        check(quantized == want, f"{ranks} ranks: quantized {sorted(quantized ^ want)[:4]} differ")
        cut = sum(options != "all" for _, options, _, _ in items)
        print(f"{layers} block(s), {ranks} ranks: {len(items)} items as planned, {cut} of them parts of a layer")
        check(cut > 0 or ranks < 13, "no layer was cut")
        check(any(e["event"] == "balance" and e["phase"] == "measure" for e in events), "no balance event")
        check(not list(Path(work, "measurements").glob("*.options*")), "parts of records left behind")
        outputs[ranks] = {p.name: p.read_bytes() for p in sorted(Path(out).iterdir())}
    check(outputs[1] == outputs[4] == outputs[13], "other bytes on other numbers of ranks")


def check_going_on():
    """A job killed with parts of layers measured goes on with another number of ranks."""
    if run("--list-fault-points").returncode != 0:
        print("no fault points in this build: going on is not tested")
        return
    for norm, hessians in (("pooled", "keep"), ("row_mean", "recompute")):
        bytes_of = {}
        for way in ("straight", "killed"):
            where = ["-s", f"work.dir=w-{way}-{norm}-{hessians}", "-s", f"output.dir=o-{way}-{norm}-{hessians}",
                     "-s", f"measure.err_norm={norm}", "-s", f"quantize.hessians={hessians}"]
            if way == "killed":
                result = run("run", "job.yaml", *where, ranks=11,
                             fault="point=layer_measured,count=2,action=kill")
                check(result.returncode != 0, "not killed")
                left = list(Path(f"w-{way}-{norm}-{hessians}", "measurements").glob("*.options*.h5"))
                check(left, "no part of a layer was measured before the kill")
                damaged = bytearray(left[0].read_bytes())
                damaged[len(damaged) // 2] ^= 1
                left[0].write_bytes(damaged)
                # Every rank sleeps in its first part until the time is up, and puts down the others.
                result = run("run", "job.yaml", *where, "--max-time", "8", ranks=11,
                             fault="point=layer_measured,count=1,action=sleep:8")
                check(result.returncode == 75, f"stopped: {result.returncode} {result.stderr}")
                check(list(left[0].parent.glob("*.bad")), "the damaged record of a part was not noticed")
                left = list(Path(f"w-{way}-{norm}-{hessians}", "hessians").glob("*.h5"))
                check(left, "Hessians of what was put down are not there")
            result = run("run", "job.yaml", *where, ranks=3 if way == "killed" else 0)
            check(result.returncode == 0, result.stderr)
            out = Path(f"o-{way}-{norm}-{hessians}")
            bytes_of[way] = {p.name: p.read_bytes() for p in sorted(out.iterdir())}
        check(bytes_of["straight"] == bytes_of["killed"], f"{norm}, {hessians}: other bytes after a kill")
        print(f"{norm}, Hessians {hessians}: killed on 11 ranks, a record damaged, stopped on 11, ended on 3: same bytes")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        check_large()
        check_configs()
        check_refusals()
        check_sbatch()
        check_real_runs(3)
        subprocess.run(["rm", "-rf", "model"], check=True)
        check_real_runs(1)
        check_going_on()
        os.chdir("/")


main()
