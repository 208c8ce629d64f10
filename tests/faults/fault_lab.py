"""What the fault tests share: a small job, its runs, and what must hold after them.

Every test is called as: TEST.py PROGRAM MAKE_MODEL SHIM SHARED_DATA [its own arguments].
"""
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DONE, BAD_DATA, NO_INPUT, UNAVAILABLE, INTERNAL = 0, 65, 66, 69, 70
CANNOT_CREATE, IO_ERROR, TRY_AGAIN, CONFIG = 73, 74, 75, 78

PROGRAM, MAKE_MODEL, SHIM = (Path(a) for a in sys.argv[1:4])
OWN_ARGUMENTS = sys.argv[5:]
VALIDATION_ROWS = 8  # left over for the evaluation

JOB = """version: 1
model: {{path: {model}}}
calibration: {{tokens: {tokens}, rows: {rows}, length: {length}, slice_rows: 2}}
allocate: {{bpw: {bpw}}}
quantize: {{hessians: {hessians}}}
output: {{dir: {output}, shard_mib: 1}}
work: {{dir: {work}}}
checkpoint: {{every_s: {every_s}}}
device: {{kind: cpu, threads: 1}}
"""


def die(text):
    print(f"FAILED: {text}", file=sys.stderr, flush=True)
    sys.exit(1)


class Lab:
    """A folder with a model of random weights, and jobs on it."""

    def __init__(self, layers=4, hidden=64, ffn=96, vocab=257, rows=12, length=32, shards=2):
        self.root = Path(tempfile.mkdtemp(prefix="faults-"))
        self.rows, self.length = rows, length
        self.model = self.root / "model"
        self.tokens = self.root / "tokens.i32"
        subprocess.run(
            [MAKE_MODEL, self.model, "--hidden", str(hidden), "--heads", "2", "--kv-heads", "2",
             "--ffn", str(ffn), "--layers", str(layers), "--vocab", str(vocab), "--shards",
             str(shards), "--tokens-file", self.tokens, "--tokens",
             str((rows + VALIDATION_ROWS) * length)],
            check=True, stdout=subprocess.DEVNULL)
        self.jobs = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def job(self, folder=None, **settings):
        self.jobs += 1
        return Job(self, Path(folder) if folder else self.root / f"job-{self.jobs}", settings)


class Job:
    """One work folder and output folder."""

    def __init__(self, lab, folder, settings):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.work, self.output = folder / "work", folder / "out"
        values = dict(model=lab.model, tokens=lab.tokens, rows=lab.rows, length=lab.length,
                      bpw=4.5, hessians="auto", every_s=300, work=self.work, output=self.output)
        values.update(settings)
        self.file = folder / "job.yaml"
        self.file.write_text(JOB.format(**values))
        self.trace = lab.root / f"trace-{lab.jobs}"

    def command(self, ranks, *arguments):
        line = [PROGRAM, "run", self.file, *arguments]
        if ranks > 0:
            line = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)] + line
        return [str(word) for word in line]

    def environment(self, fault="", **extra):
        environment = dict(os.environ, SHARDQUANT_FAULT_TRACE=str(self.trace), **extra)
        if fault:
            environment["SHARDQUANT_FAULT"] = fault
        return environment

    def start(self, ranks=0, *arguments, fault="", **extra):
        """A running job, in a process group of its own, its narration in log.txt."""
        with open(self.folder / "log.txt", "ab") as log:
            return subprocess.Popen(self.command(ranks, *arguments), stdout=subprocess.DEVNULL,
                                    stderr=log, env=self.environment(fault, **extra),
                                    start_new_session=True)

    def run(self, ranks=0, *arguments, fault="", timeout=120, **extra):
        """Exit code and standard error of a whole run."""
        result = subprocess.run(self.command(ranks, *arguments), stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, env=self.environment(fault, **extra),
                                timeout=timeout, text=True, errors="replace",
                                start_new_session=True)
        return result.returncode, result.stderr

    def must_finish(self, ranks=0, *arguments, **extra):
        code, text = self.run(ranks, *arguments, **extra)
        if code != DONE:
            die(f"{self.folder}: exit code {code} on {ranks} ranks: {text}")
        return text

    def sum(self):
        return sum_of(self.output)

    def temporaries(self):
        return [p for p in self.work.rglob("*.tmp.*")] + [
            p for p in self.folder.rglob("*.partial")]

    def started(self, point="layer_started"):
        """How often each item reached a point, over all runs of this job."""
        counts = {}
        if self.trace.exists():
            for line in self.trace.read_text().splitlines():
                _, name, item = line.split(" ", 2)
                if name == point:
                    counts[item] = counts.get(item, 0) + 1
        return counts

    def measured_again(self):
        """How many layers had an option measured more than once, over all runs of this job."""
        seen, again = set(), set()
        for item, count in self.started().items():
            layer, options = item.rsplit(" ", 1)
            for option in options.split(","):
                if count > 1 or (layer, option) in seen:
                    again.add(layer)
                seen.add((layer, option))
        return len(again)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def sum_of(folder):
    """One hash over names and bytes of all files of a folder."""
    total = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            total.update(str(path.relative_to(folder)).encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def sum_of_point(folder):
    """sum_of() of a sweep's point as a plain run makes it: the card without the table of sizes."""
    total = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if path.name == "README.md":
                content = re.sub(rb"(<!-- sizes -->\n)\n## Sizes\n\n(\|[^\n]*\n)+\n", rb"\1", content)
            total.update(str(path.relative_to(folder)).encode())
            total.update(hashlib.sha256(content).digest())
    return total.hexdigest()


def kill_group(process, number=signal.SIGKILL):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def ranks_of(process):
    """Process numbers of the program's ranks under a launcher, in the order of their ranks."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.readlink(entry / "exe") != str(PROGRAM.resolve()):
                continue
            environment = (entry / "environ").read_bytes().split(b"\0")
            if os.getsid(int(entry.name)) != os.getsid(process.pid) and not is_descendant(
                    int(entry.name), process.pid):
                continue
            rank = [v for v in environment if v.startswith(b"OMPI_COMM_WORLD_RANK=")]
            found.append((int(rank[0].split(b"=")[1]) if rank else 0, int(entry.name)))
        except (OSError, IndexError):
            continue
    return [pid for _, pid in sorted(found)]


def is_descendant(pid, ancestor):
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        pid = int(stat[stat.rindex(")") + 2:].split()[1])
    return False


def kill_all(process):
    """SIGKILL to the launcher and all its ranks, as when a node loses power."""
    pids = ranks_of(process)
    process.kill()
    for pid in pids + ranks_of(process):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    # Ranks that were being started have a session of their own; they end with their launcher.
    wait_for(lambda: not any_rank_left(process), 30, "the ranks of a killed job to be gone")


def any_rank_left(process):
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.getsid(int(entry.name)) == process.pid and is_alive(int(entry.name)):
                os.kill(int(entry.name), signal.SIGKILL)
                return True
        except OSError:
            continue
    return False


def is_alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    die(f"waited {seconds} s for {what}")


def seeded(number):
    return random.Random(number)
