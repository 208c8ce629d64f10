#!/usr/bin/env python3
"""CKPT-FLIP, CKPT-TRUNC, CKPT-MIX, CKPT-RACE: state that is damaged, of another run, or in use."""
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from fault_lab import (BAD_DATA, CANNOT_CREATE, DONE, OWN_ARGUMENTS, Lab, die, kill_all, seeded,
                       wait_for)

flips = int(OWN_ARGUMENTS[0])
# Written anew by every run and never read by it.
NOT_STATE = {"events.jsonl", "resolved.yaml", "measurement.json", "plan.json", "lock"}
# Made anew by every run and written again where they differ, before anything reads them.
REMADE = {"calibration.json", "validation_rows.i32"}


def interrupted(lab, point, count, **settings):
    """A job killed at a point, as a folder to copy."""
    job = lab.job(**settings)
    code, text = job.run(0, fault=f"point={point},count={count}")
    if code != -signal.SIGKILL:
        die(f"{point}: exit code {code}: {text}")
    return job


def state_files(folder):
    files = [p for p in sorted((folder / "work").rglob("*")) if p.is_file()]
    files += sorted((folder / "out").glob(".*.partial")) if (folder / "out").exists() else []
    return [p for p in files if p.name not in NOT_STATE and ".tmp." not in p.name
            and p.parent.name not in ("heartbeats", "rank_events")]


def generations(folder):
    return sorted(p for p in (folder / "work" / "hidden").iterdir() if p.name.isdigit())


class Original:
    """An interrupted job that is put back to where it was, harmed and gone on with, over and over.

    State belongs to its output folder, so it is always the same folder."""

    def __init__(self, job, want):
        self.job, self.want = job, want
        self.snapshot = job.folder / "snapshot"
        for part in ("work", "out"):
            if (job.folder / part).exists():
                shutil.copytree(job.folder / part, self.snapshot / part)

    def restore(self):
        for part in ("work", "out"):
            shutil.rmtree(self.job.folder / part, ignore_errors=True)
            if (self.snapshot / part).exists():
                shutil.copytree(self.snapshot / part, self.job.folder / part)

    def check(self, harm, relative):
        """Whether the harm was noticed; that it does no harm is asserted."""
        self.restore()
        path = self.job.folder / relative
        harm(path)
        code, text = self.job.run(0)
        if code != DONE:
            die(f"{path}: exit code {code}: {text}")
        if self.job.sum() != self.want:
            die(f"{path}: other bytes after damage")
        if path.name in REMADE:
            return path.read_bytes() == (self.snapshot / relative).read_bytes()
        # What lies in the shards is compared with its record, or written again in any case.
        return "damaged" in text or path.name.endswith(".partial")


def check_all(originals, tasks):
    """tasks: (harm, path in the job's folder), dealt out over equal originals."""
    def work(worker):
        for harm, relative in tasks[worker::len(originals)]:
            if not originals[worker].check(harm, relative):
                unnoticed.append(f"{relative}: damage was not noticed")
    unnoticed = []
    with ThreadPoolExecutor(len(originals)) as pool:
        for result in [pool.submit(work, w) for w in range(len(originals))]:
            result.result()
    if unnoticed:
        die(unnoticed[0])


def flip_at(position, bit):
    def harm(path):
        with open(path, "r+b") as file:
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes([byte ^ (1 << bit)]))
    return harm


def files_in_use(original):
    """Hidden states of the older generation are read only where the newer one is damaged."""
    folder = original.job.folder
    older = generations(folder)[:-1]
    return [p.relative_to(folder) for p in state_files(folder)
            if not any(o in p.parents for o in older)]


def flip_bits(originals, count, rng):
    """Flips in files weighted by size, and as many with every file in turn."""
    originals[0].restore()
    files = files_in_use(originals[0])
    folder = originals[0].job.folder
    sizes = [(folder / p).stat().st_size for p in files]
    tasks = []
    for i in range(count):
        which = i // 2 % len(files) if i % 2 else rng.choices(range(len(files)), sizes)[0]
        tasks.append((flip_at(rng.randrange(sizes[which]), rng.randrange(8)), files[which]))
    check_all(originals, tasks)
    return len(files)


def replace_with(kind):
    def harm(path):
        size = path.stat().st_size
        if kind == "directory":
            path.unlink()
            path.mkdir()
        elif kind == "zeros":
            path.write_bytes(bytes(size))
        else:
            os.truncate(path, {"0": 0, "1": 1, "8": 8, "half": size // 2, "less 1": size - 1}[kind])
    return harm


def truncate_all(originals):
    kinds = ["0", "1", "8", "half", "less 1", "zeros", "directory"]
    originals[0].restore()
    files = [p for p in files_in_use(originals[0]) if not p.name.endswith(".partial")]
    tasks = [(replace_with(k), p) for k in kinds for p in files]
    check_all(originals, tasks)
    return len(tasks)


def swap_generations(originals):
    """A file of the older generation in place of the newer one's; both generations damaged."""
    def older_in_place(path):
        shutil.copyfile(generations(path.parents[3])[0] / path.name, path)

    def both(path):
        for generation in generations(path.parents[3]):
            (generation / path.name).write_bytes(b"")

    originals[0].restore()
    folder = originals[0].job.folder
    slices = [p.relative_to(folder) for p in sorted(generations(folder)[-1].glob("slice-*"))]
    tasks = [(harm, s) for s in slices for harm in (older_in_place, both)]
    check_all(originals, tasks)
    return len(tasks)


def refuse_mixtures(lab, want):
    """Model, calibration, configuration or build changed under a checkpoint."""
    job = interrupted(lab, "layer_started", 9)
    refused = 0

    def expect(field, *arguments, program=None):
        nonlocal refused
        command = job.command(0, *arguments)
        if program:
            command[0] = str(program)
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != BAD_DATA or f"\n  {field}: " not in result.stderr:
            die(f"{field}: exit code {result.returncode}: {result.stderr}")
        refused += 1

    for setting, value in (("calibration.rows", 8), ("calibration.length", 16),
                           ("calibration.slice_rows", 4), ("measure.err_norm", "row_mean"),
                           ("quantizer.damping", 0.1), ("quantizer.damping_floor", 1e-4),
                           ("quantizer.shrink_low", 0.7), ("quantizer.shrink_high", 1.1),
                           ("quantizer.shrink_steps", 32),
                           ("quantizer.scale_rounding", "exl2-2023")):
        expect(setting, "-s", f"{setting}={value}")
    weights = sorted(lab.model.glob("*.safetensors"))[-1]
    for path, field in ((weights, f"model.file.{weights.name}"),
                        (lab.tokens, "calibration.tokens")):
        flip_at(path.stat().st_size - 3, 0)(path)
        expect(field)
        flip_at(path.stat().st_size - 3, 0)(path)
    config = lab.model / "config.json"
    before = config.read_bytes()
    config.write_bytes(before.rstrip() + b" \n\n")
    expect("model.config")
    config.write_bytes(before)
    # The linker's build id is the only thing that tells this program from the other.
    other = lab.root / "other-build"
    program = bytearray(open(job.command(0)[0], "rb").read())
    at = program.index(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0") + 16
    program[at] ^= 1
    other.write_bytes(program)
    other.chmod(0o755)
    expect("build", program=other)
    command = job.command(0, "--accept-build-change")
    command[0] = str(other)
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != DONE or job.sum() != want:
        die(f"--accept-build-change: exit code {result.returncode}: {result.stderr}")
    return refused


def race(lab, want):
    """A second job in the same folders; one that was killed leaves no lasting lock."""
    job = lab.job()
    first = job.start(2, fault="point=layer_started,count=5,action=sleep:4")
    wait_for(lambda: sum(job.started().values()) >= 5, 60, "the first job to be at work")
    begin = time.monotonic()
    code, text = job.run(2)
    seconds = time.monotonic() - begin
    if code != CANNOT_CREATE or seconds > 5.0 or "another job works in this folder" not in text:
        die(f"second job: exit code {code} after {seconds:.1f} s: {text}")
    if text.count("error:") != 1:
        die(f"the error came more than once: {text}")
    if first.wait(120) != DONE or job.sum() != want:
        die("the first job was disturbed")
    # Another work folder with the same output folder is no way around.
    job = lab.job()
    first = job.start(0, fault="point=layer_started,count=5,action=sleep:4")
    wait_for(lambda: sum(job.started().values()) >= 5, 60, "the first job to be at work")
    code, text = job.run(0, "-s", f"work.dir={job.folder / 'work2'}")
    if code != CANNOT_CREATE:
        die(f"second job on the same output: exit code {code}: {text}")
    kill_all(first)
    job.must_finish(0)
    if job.sum() != want:
        die("other bytes after a lock was taken over")
    return seconds


with Lab() as lab:
    plain = lab.job()
    plain.must_finish(0)
    want = plain.sum()
    measuring = [Original(interrupted(lab, "layer_started", 18, hessians="recompute", every_s=0),
                          want) for _ in range(2)]
    quantizing = [Original(interrupted(lab, "layer_quantizing", 15, hessians="keep"), want)
                  for _ in range(2)]
    rng = seeded(2)
    kinds = flip_bits(measuring, flips // 2, rng) + flip_bits(quantizing, flips - flips // 2, rng)
    print(f"{flips} of {flips} flipped bits in {kinds} files noticed, result the same")
    damaged = truncate_all(measuring) + truncate_all(quantizing)
    print(f"{damaged} of {damaged} truncated, zeroed or replaced files noticed, result the same")
    swapped = swap_generations(measuring)
    print(f"{swapped} of {swapped} exchanged or doubly damaged generations noticed")
    mixtures = refuse_mixtures(lab, want)
    print(f"{mixtures} of {mixtures} changes under a checkpoint refused by name")
    print(f"second job out after {race(lab, want):.1f} s with 73, first one unharmed")
