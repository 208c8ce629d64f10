#!/usr/bin/env python3
"""What the scripts of slurm/ hand to srun and sbatch, with stand-ins for Slurm's commands that write down their words.
Called as: TEST.py SOURCE_DIR."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPTS = Path(sys.argv[1]).resolve() / "slurm"
STAND_IN = """#!/bin/bash
printf '%s\\n' "$@" >"$WORDS/$(basename "$0").words"
printf '%s\\n' "NCCL_SOCKET_IFNAME=${NCCL_SOCKET_IFNAME:-}" >"$WORDS/environment"
"""


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)


def stand_in(folder, name, text=STAND_IN):
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def run(folder, command, **variables):
    """The words that the stand-in of srun or sbatch got."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    environment.update(variables, PATH=f"{folder}:{environment['PATH']}", WORDS=str(folder))
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    check(done.returncode == 0, f"{command}: {done.stderr}")
    return (folder / ("srun.words" if command[0] == "bash" else "sbatch.words")).read_text().split("\n")


def check_batch_scripts(folder):
    for script in sorted(SCRIPTS.glob("*.sbatch")):
        plain = run(folder, ["bash", script], SLURM_ARRAY_TASK_ID="2", SLURM_JOB_ID="7")
        check("--mpi=pmix" in plain and "device.threads=1" in plain, f"{script.name}: {plain}")
        asked = run(folder, ["bash", script], SLURM_ARRAY_TASK_ID="2", SLURM_JOB_ID="7", SLURM_CPUS_PER_TASK="12",
                    SRUN_MPI="cray_shasta", NCCL_SOCKET_IFNAME="ib0", OPTIONS="-s device.threads=3")
        check("--mpi=cray_shasta" in asked and "--mpi=pmix" not in asked, f"{script.name}: {asked}")
        threads = [word for word in asked if word.startswith("device.threads=")]
        check(threads == ["device.threads=12", "device.threads=3"], f"{script.name}: {threads}")
        check((folder / "environment").read_text() == "NCCL_SOCKET_IFNAME=ib0\n", script.name)
    print("batch scripts: MPI, networks and threads as the environment and the allocation have them")


def check_submit(folder):
    submit = str(SCRIPTS / "submit.sh")
    cases = [
        ("cpu* (null)\ngpu gpu:4", [], []),
        ("cpu (null)\ngpu* gpu:h100:4(S:0-1),shm:1", [], ["--gpus-per-node=4", "--ntasks-per-node=4"]),
        ("gpu gpu:h100:8(S:0-1)\ngpu gpu:a100:2", ["--partition=gpu"], ["--gpus-per-node=2", "--ntasks-per-node=2"]),
        ("gpu gpu:8", ["-p", "gpu", "--gpus-per-node=3"], []),
        ("gpu gpu", ["-pgpu"], ["--gpus-per-node=1", "--ntasks-per-node=1"]),
        ("mixed gpu:2\nmixed (null)", ["-p", "mixed"], []),
    ]
    for resources, options, added in cases:
        stand_in(folder, "sinfo", f"#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$WORDS/sinfo.words\"\necho '{resources}'\n")
        words = run(folder, [submit, *options, "job.sbatch"])
        check(words == [*added, *options, "job.sbatch", ""], f"{resources!r} {options}: {words}")
        asked = (folder / "sinfo.words").read_text() if added and options else "--partition="
        check("--partition=" in asked, f"sinfo was asked {asked}")
    print(f"submit.sh: {len(cases)} partitions, GPUs where the nodes have them and none were asked for")


home = Path(tempfile.mkdtemp(prefix="slurm-words-"))
try:
    for program in ("srun", "sbatch"):
        stand_in(home, program)
    stand_in(home, "squeue", "#!/bin/sh\nexit 1\n")
    check_batch_scripts(home)
    check_submit(home)
finally:
    shutil.rmtree(home)
