#!/usr/bin/env python3
"""Commands where users meet them: misspelt, inside a Slurm allocation, on models in other formats and in the hub's cache,
with their standard output full or closed, and their helps. Called as: TEST.py PROGRAM MAKE_MODEL SHARED_DATA."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM, MAKE_MODEL, SHARED = (Path(a).resolve() for a in sys.argv[1:4])
USAGE, BAD_DATA, NO_INPUT, UNAVAILABLE, CANNOT_CREATE, IO_ERROR, CONFIG = 64, 65, 66, 69, 73, 74, 78

JOB = """version: 1
model: {path: model}
calibration: {tokens: tokens.i32, rows: 4, length: 64, slice_rows: 2}
allocate: {bpw: 4.0}
output: {dir: out}
work: {dir: work}
"""


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)


def run(*words, stdout=subprocess.PIPE, **variables):
    return subprocess.run([str(word) for word in (PROGRAM, *words)], env=dict(os.environ, **variables), text=True,
                          stdout=stdout, stderr=subprocess.PIPE)


def refused(code, words, *command, **variables):
    done = run(*command, **variables)
    check(done.returncode == code, f"{command}: exit code {done.returncode}, expected {code}: {done.stderr}")
    check(done.stderr.count("shardquant: error:") == 1, f"{command}: not one message: {done.stderr}")
    for word in words:
        check(word in done.stderr, f"{command}: {word!r} not in: {done.stderr}")


def check_misspelt():
    refused(USAGE, ["no command runn", ", did you mean run? shardquant --help"], "runn", "job.yaml")
    refused(USAGE, ["no command lst", "did you mean list?", "shardquant sweep --help"], "sweep", "lst", "job.yaml")
    refused(USAGE, ["no option --bwp", "did you mean --bpw?", "shardquant solve --help"], "solve", "--measurement", "m", "--bwp", "4")
    refused(USAGE, ["no option --max-tiem", "did you mean --max-time?"], "run", "job.yaml", "--max-tiem=3")
    refused(USAGE, ["JOB", "shardquant run --help"], "run")
    refused(USAGE, ["shardquant --help"])
    refused(CONFIG, ["write it with a point: 4.0"], "run", "job.yaml", "-s", "allocate.bpw=4,0")
    Path("comma.yaml").write_text(JOB.replace("4.0", "4,0"))
    refused(CONFIG, ["comma.yaml:4", "as 4.0"], "run", "comma.yaml")
    Path("a_file").write_text("")
    refused(CANNOT_CREATE, ["a_file", "output.dir", "a file"], "run", "job.yaml", "-s", "output.dir=a_file")
    refused(CANNOT_CREATE, ["a_file", "work.dir", "a file"], "run", "job.yaml", "-s", "work.dir=a_file")


def check_helps():
    """Every command, and the program, ends its help with examples of itself."""
    commands, seen = [()], 0
    for command in commands:
        text = run(*command, "--help").stdout
        parts = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.M)
        if parts:
            commands += [(*command, name) for name in re.findall(r"^  (\S+)", parts[1], re.M)]
        examples = text.split("Examples:\n")[-1] if "Examples:\n" in text else ""
        check(" ".join(("shardquant", *command)) in examples, f"no example in the help of {command}")
        check(len(text.splitlines()) <= 60, f"the help of {command} has {len(text.splitlines())} lines")
        seen += 1
    check(seen >= 14, f"{seen} commands")
    return seen


def check_allocation():
    """Only commands for many ranks ask how they were started."""
    for launch in ({"SLURM_NTASKS": "8"}, {"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "0"},
                   {"PMI_RANK": "0", "PMI_SIZE": "8"}):
        for command in (["--version"], ["run", "--help"], ["inspect", "model"], ["plan", "job.yaml", "--ranks", "4"],
                        ["tokenize", "--help"], ["sweep", "list", "sweep.yaml"], ["verify", "out"],
                        ["solve", "--measurement", "out/measurement.json", "--bpw", "4"]):
            done = run(*command, **launch)
            check(done.returncode == 0 and done.stdout, f"{command} with {launch}: {done.returncode} {done.stderr}")
        refused(UNAVAILABLE, ["--mpi=pmix"], "run", "job.yaml", **launch)
    other = run("inspect", "model", SLURM_NTASKS="8", SLURM_STEP_NUM_TASKS="8", SLURM_PROCID="3")
    check(other.returncode == 0 and not other.stdout, "a second task prints, too")


def check_checksums():
    """A flipped byte in any file but the card is noticed, and the file named."""
    names = [line.split("  ")[1] for line in Path("out/checksums.xxh128").read_text().splitlines()]
    here = {path.name for path in Path("out").iterdir()} - {"README.md", "checksums.xxh128"}
    check(set(names) == here, f"checksums of {names}, there are {here}")
    check(f"{len(names)} files as they were written" in run("verify", "out").stdout, "verify does not tell")
    for name in names:
        file = Path("out", name)
        right = file.read_bytes()
        for place in (len(right) // 2, len(right) - 1):
            file.write_bytes(right[:place] + bytes([right[place] ^ 4]) + right[place + 1:])
            if name.endswith("index.json"):  # what it names may be missing now
                check(run("verify", "out").returncode in (BAD_DATA, NO_INPUT), "a flipped byte in the index")
            else:
                refused(BAD_DATA, [name], "verify", "out")
        file.write_bytes(right)
    run("verify", "out").check_returncode()
    return len(names)


def check_inspect():
    shown = run("inspect", "out/measurement.json").stdout
    check("2023 schema" in shown and "model.layers.0.mlp.down_proj" in shown, shown)
    state = run("inspect", "work/measurements/model.layers.0.self_attn.q_proj.h5")
    check(state.returncode == 0 and "kind" in state.stdout and "float64" in state.stdout, state.stdout + state.stderr)
    damaged = Path("damaged.h5")
    bytes_ = bytearray(Path("work/measurements/model.layers.0.self_attn.q_proj.h5").read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    damaged.write_bytes(bytes_)
    refused(BAD_DATA, ["damaged.h5"], "inspect", "damaged.h5")
    published = sorted((SHARED / "data/measurements").glob("*.json")) if SHARED.is_dir() else []
    kinds = set()
    for file in published:
        done = run("inspect", file)
        check(done.returncode == 0, f"{file}: {done.stderr}")
        kinds.update(re.findall(r"(\d{4}) schema", done.stdout))
    check(not published or kinds == {"2023", "2024"}, f"schemas of the published measurements: {kinds}")
    return len(published)


def check_formats():
    for name, words in (("model.gguf", ["GGUF", "safetensors"]), ("pytorch_model.bin", ["save_pretrained", "other"]),
                        ("consolidated.00.pth", ["save_pretrained"])):
        folder = Path("other")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy("model/config.json", folder)
        (folder / name).write_bytes(b"GGUF")
        refused(NO_INPUT, words, "run", "job.yaml", "-s", "model.path=other")
        refused(NO_INPUT, words, "inspect", "other")
    Path("file.gguf").write_bytes(b"GGUF")
    refused(NO_INPUT, ["GGUF"], "run", "job.yaml", "-s", "model.path=file.gguf")
    refused(NO_INPUT, ["not a folder", "model"], "run", "job.yaml", "-s", "model.path=model/model.safetensors")


def check_hub():
    """A name of the hub: how to fetch it, or where its cache has it; a cache whose blobs are elsewhere."""
    name = "meta-llama/Llama-3.2-1B"
    refused(NO_INPUT, [f"hf download {name} --local-dir"], "run", "job.yaml", "-s", f"model.path={name}", HF_HUB_CACHE="no")
    snapshot = Path("hub/models--meta-llama--Llama-3.2-1B/snapshots/0123")
    snapshot.mkdir(parents=True)
    store = Path("other_disk").resolve()
    store.mkdir()
    blobs = snapshot.parents[1] / "blobs"
    blobs.symlink_to(store)
    for file in Path("model").iterdir():
        shutil.copy(file, store / f"sha-{file.name}")
        (snapshot / file.name).symlink_to(f"../../blobs/sha-{file.name}")
    refused(NO_INPUT, ["give", str(snapshot)], "eval", name, "--tokens", "t", "--length", "8", HF_HUB_CACHE="hub")
    done = run("inspect", snapshot)
    check(done.returncode == 0, f"blobs on another disk: {done.stderr}")
    blobs.unlink()
    blobs.mkdir()
    for file in store.iterdir():
        (blobs / file.name).symlink_to(file)
    done = run("inspect", snapshot)
    check(done.returncode == 0, f"blobs that are links: {done.stderr}")


def check_links():
    """A folder of links to a shared store: refused with what helps, and that helps."""
    Path("linked").mkdir()
    for file in Path("model").iterdir():
        (Path("linked") / file.name).symlink_to(file.resolve())
    settings = ["-s", "model.path=linked", "-s", "work.dir=work_linked", "-s", "output.dir=out_linked"]
    refused(BAD_DATA, ["model.links: follow", "--follow-symlinks"], "run", "job.yaml", *settings)
    done = run("run", "job.yaml", *settings, "-s", "model.links=follow")
    check(done.returncode == 0, f"model.links: follow: {done.stderr}")
    tokens = ["--tokens", "tokens.i32", "--length", "64"]
    for command in (["inspect", "linked"], ["eval", "linked", *tokens], ["verify", "out", "--against", "linked"],
                    ["plan", "linked", "--ranks", "2"], ["eval", "out", *tokens, "--against", "linked"],
                    ["solve", "--measurement", "out/measurement.json", "--bpw", "4", "--model", "linked"]):
        refused(BAD_DATA, ["--follow-symlinks"], *command)
        done = run(*command, "--follow-symlinks")
        check(done.returncode == 0, f"{command} --follow-symlinks: {done.stderr}")


def check_full_output():
    """Results that cannot be written end with 74, and a closed stream is never a file of the job."""
    tokens = ["--tokens", "tokens.i32", "--length", "64"]
    for command in (["--version"], ["--help"], ["inspect", "model"], ["plan", "job.yaml"], ["eval", "model", *tokens],
                    ["solve", "--measurement", "out/measurement.json", "--bpw", "4"], ["verify", "out"],
                    ["sweep", "list", "sweep.yaml"], ["completion", "bash"],
                    ["solve", "--measurement", "out/measurement.json", "--frontier", "4:6:1"]):
        words = " ".join(f"'{word}'" for word in (PROGRAM, *command))
        for end in (">/dev/full", ">&-", "| true"):
            ended = "exec 3>&1; " + (f"({words}; echo $? >&3) {end}" if "|" in end else f"{words} {end}; echo $? >&3")
            done = subprocess.run(["bash", "-c", ended], capture_output=True, text=True)
            code = int(done.stdout.split()[-1])
            # A pipe holds more than these print: its reader must be gone first, which it may not be.
            check(code == IO_ERROR or (end == "| true" and code == 0), f"{command} {end}: {code}: {done.stderr}")
    before = Path("job.yaml").read_text()
    done = subprocess.run(["bash", "-c", f"'{PROGRAM}' run job.yaml -s work.dir=w2 -s output.dir=o2 <&- >&- 2>&-"])
    check(done.returncode == 0, f"a job without standard streams: {done.returncode}")
    check(run("verify", "o2").returncode == 0 and Path("job.yaml").read_text() == before, "its output")


def main():
    subprocess.run([MAKE_MODEL, "model", "--hidden", "64", "--heads", "4", "--kv-heads", "2", "--ffn", "96", "--layers",
                    "1", "--vocab", "128", "--tokens-file", "tokens.i32", "--tokens", "800"], check=True,
                   stdout=subprocess.DEVNULL)
    Path("job.yaml").write_text(JOB)
    Path("sweep.yaml").write_text(JOB + "sweep: {bpw: [3, 4]}\n")
    check(run("run", "job.yaml").returncode == 0, "the job")
    check_misspelt()
    helps = check_helps()
    check_allocation()
    files = check_checksums()
    published = check_inspect()
    check_formats()
    check_hub()
    check_links()
    check_full_output()
    print(f"{helps} helps with examples of their own; a flipped byte noticed in {files} files; {published} published measurements inspected; commands misspelt, in "
          "an allocation, on other formats, through links and without a standard output end as they should")


home = tempfile.mkdtemp(prefix="ends-")
try:
    os.chdir(home)
    main()
finally:
    shutil.rmtree(home)
