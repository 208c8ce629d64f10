"""What the tests of bad input share: running the program within limits, counting, safetensors."""

import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time


class Outcome:
    """One run of the program: exit code, both outputs, seconds of CPU, wall seconds, peak MB."""

    def __init__(self, code, out, err, cpu, wall, peak_mb):
        self.code, self.out, self.err = code, out, err
        self.cpu, self.wall, self.peak_mb = cpu, wall, peak_mb


def run(command, data_limit=None, cwd=None):
    """data_limit: bytes of private memory the run may ask for."""
    def limit():
        if data_limit:
            resource.setrlimit(resource.RLIMIT_DATA, (data_limit, data_limit))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err, cwd=cwd,
                                   stdin=subprocess.DEVNULL, preexec_fn=limit)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    return Outcome(process.returncode, *texts, usage.ru_utime + usage.ru_stime, wall,
                   usage.ru_maxrss / 1024)


class Tally:
    """Counts the cases of one set; every miss is printed at once."""

    failed = False

    def __init__(self, name, seconds=None, peak_mb=None):
        self.name, self.seconds, self.peak_mb = name, seconds, peak_mb
        self.good = self.all = 0
        self.longest = self.most_mb = 0.0

    def check(self, case, outcome, code, words=(), faults=()):
        faults = list(faults)
        if outcome.code != code:
            faults.append(f"exit code {outcome.code}, expected {code}")
        for word in words:
            if word not in outcome.err:
                faults.append(f"{word!r} is not named")
        if code != 0 and outcome.err.count("shardquant: error:") != 1:
            faults.append("not one error message")
        if self.seconds and outcome.cpu > self.seconds:
            faults.append(f"{outcome.cpu:.2f} s")
        if self.peak_mb and outcome.peak_mb > self.peak_mb:
            faults.append(f"{outcome.peak_mb:.0f} MB")
        self.all += 1
        self.good += not faults
        self.longest = max(self.longest, outcome.cpu)
        self.most_mb = max(self.most_mb, outcome.peak_mb)
        if faults:
            Tally.failed = True
            print(f"FAILED: {self.name} {case}: {'; '.join(faults)}\n    {outcome.err[-400:]}")

    def report(self, note=""):
        print(f"{self.name}: {self.good} of {self.all}, at most {self.longest:.2f} s and "
              f"{self.most_mb:.0f} MB{note}", flush=True)


def header_bytes(header):
    if not isinstance(header, bytes):
        header = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(header)) + header


def read_safetensors(path):
    """{name: (dtype, shape, bytearray)} in the order of the file."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    order = sorted(header, key=lambda name: header[name]["data_offsets"])
    tensors = {}
    for name in order:
        begin, end = (8 + length + offset for offset in header[name]["data_offsets"])
        tensors[name] = (header[name]["dtype"], header[name]["shape"], bytearray(data[begin:end]))
    return tensors


def write_safetensors(path, tensors):
    header, place = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + len(data)]}
        place += len(data)
    path.write_bytes(header_bytes(header) + b"".join(bytes(t[2]) for t in tensors.values()))


def encode(dtype, value):
    """The bytes of one element."""
    if dtype == "F32":
        return struct.pack("<f", value)
    if dtype == "F16":
        return struct.pack("<e", value)
    return struct.pack("<f", value)[2:]  # BF16, cut off


def set_element(tensors, name, index, value):
    dtype, _, data = tensors[name]
    piece = encode(dtype, value)
    data[index * len(piece):(index + 1) * len(piece)] = piece


def fill(tensors, name, value):
    dtype, _, data = tensors[name]
    piece = encode(dtype, value)
    data[:] = piece * (len(data) // len(piece))


def tree_hashes(folder):
    """{relative path: bytes} of a folder, to compare two of them."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


class Jobs:
    """Models, tokens and job files in a folder of their own, and the program that runs them."""

    def __init__(self, arguments, work):
        self.program, self.make_model = arguments[1], arguments[2]
        self.work = work

    def model(self, name, *options):
        """A generated model; options as pairs, or words that stand alone."""
        defaults = {"--hidden": 64, "--heads": 4, "--kv-heads": 2, "--ffn": 96, "--layers": 1,
                    "--vocab": 128}
        given = [part for key, value in defaults.items() if key not in options
                 for part in (key, value)]
        command = [self.make_model, self.work / name, *given, *options]
        subprocess.run([str(part) for part in command], check=True)
        return self.work / name

    def copy(self, model, name):
        target = self.work / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(model, target, symlinks=True)
        return target

    def job(self, model, name="job.yaml", tokens="tokens.i32", rows=4, **extra):
        path = self.work / name
        lines = ["version: 1", f"model: {{path: {model}}}",
                 f"calibration: {{tokens: {tokens}, rows: {rows}, length: 64, slice_rows: 2}}",
                 "allocate: {bpw: 4.0, objective: sum, head_bits: 6}",
                 "output: {dir: out}", "work: {dir: work}", "device: {kind: cpu, threads: 1}"]
        lines += [f"{key}: {value}" for key, value in extra.items()]
        path.write_text("\n".join(lines) + "\n")
        return path

    def clean(self):
        for name in ("out", "work"):
            shutil.rmtree(self.work / name, ignore_errors=True)

    def run(self, job, *overrides, clean=True, **limits):
        if clean:
            self.clean()
        settings = [part for override in overrides for part in ("-s", override)]
        return run([self.program, "run", job, *settings], **limits)

    def leftovers(self):
        """What a refused run may not leave."""
        return [f"left {name}" for name in ("out", "work") if (self.work / name).exists()]


def main(test):
    """Runs test(arguments, folder) in a folder that is removed; the exit code says how it went."""
    from pathlib import Path
    with tempfile.TemporaryDirectory(prefix="shardquant-") as folder:
        test(sys.argv, Path(folder))
    sys.exit(1 if Tally.failed else 0)
