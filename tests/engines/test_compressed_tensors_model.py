#!/usr/bin/env python3
"""A mixed result of the program in compressed-tensors, loaded by transformers: no missing or unexpected tensors, weights
of every layer bit for bit those that the program decodes, its perplexity within 0.1 % of the program's. Then one with
asymmetric layers, decompressed by the library layer by layer.

Called as: TEST.py ENVIRONMENT PROGRAM MODEL TOKENS LENGTH ROWS [BPW]
MODEL: a plain Hugging Face folder; TOKENS: int32 rows of LENGTH, of which ROWS are evaluated."""
import json
import logging
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from engines import check, enter, skip

enter(sys.argv[1], "torch", "safetensors", "transformers", "compressed_tensors")

import numpy  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from compressed_tensors.compressors import BaseCompressor  # noqa: E402
from compressed_tensors.quantization import QuantizationConfig  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

PROGRAM, MODEL, TOKENS = (Path(a).resolve() for a in sys.argv[2:5])
LENGTH, ROWS = int(sys.argv[5]), int(sys.argv[6])
BPW = sys.argv[7] if len(sys.argv) > 7 else "4.25"

JOB = """version: 1
model: {{path: {model}}}
calibration: {{tokens: {tokens}, rows: 16, length: {length}}}
measure: {{asymmetric: {asymmetric}}}
allocate: {{bpw: {bpw}}}
evaluation: {{rows: 0}}
output: {{dir: out-{asymmetric}, format: compressed-tensors}}
work: {{dir: work-{asymmetric}}}
device: {{kind: cpu, threads: 2}}
"""


def quantize(folder, asymmetric):
    job = folder / f"job-{asymmetric}.yaml"
    job.write_text(JOB.format(model=MODEL, tokens=TOKENS, length=LENGTH, asymmetric=asymmetric, bpw=BPW))
    done = subprocess.run([PROGRAM, "run", job], capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)
    return folder / f"out-{asymmetric}"


def tensors_of(folder):
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(file))
    return tensors


def decompressed(folder, compressor):
    """By module: the scheme, and the weight that the library makes of the stored tensors."""
    entry = json.loads((folder / "config.json").read_text())["quantization_config"]
    config = QuantizationConfig.model_validate(entry)
    tensors = tensors_of(folder)
    for group in config.config_groups.values():
        for module in group.targets:
            state = {name[len(module) + 1:]: value for name, value in tensors.items()
                     if name.startswith(module + ".") and not name.endswith(".bias")}
            yield module, group, compressor.decompress(state, group)["weight"]


def perplexity_of(model, rows):
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            logits = model(row[None]).logits[0, :-1].double()
            total += torch.nn.functional.cross_entropy(logits, row[1:], reduction="sum").item()
            count += len(row) - 1
    return float(numpy.exp(total / count))


def program_perplexity(folder, tokens):
    done = subprocess.run([PROGRAM, "eval", folder, "--tokens", tokens, "--length", str(LENGTH), "--json"],
                          capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)
    return float(re.search(r'"perplexity": *([0-9.]+)', done.stdout).group(1))


class Complaints(logging.Handler):
    """What transformers says of tensors that it misses or does not expect."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        text = record.getMessage()
        if re.search(r"missing|unexpected|not used|newly initialized|MISSING|UNEXPECTED", text):
            self.lines.append(text)


def main(folder):
    compressor = BaseCompressor.get_value_from_registry("pack-quantized")
    rows = numpy.fromfile(TOKENS, dtype="<i4")[:ROWS * LENGTH].reshape(ROWS, LENGTH)
    tokens = folder / "rows.i32"
    rows.tofile(tokens)

    out = quantize(folder, "false")
    complaints = Complaints()
    logging.getLogger("transformers").addHandler(complaints)
    model, told = transformers.AutoModelForCausalLM.from_pretrained(out, dtype="auto", output_loading_info=True)
    check(not told["missing_keys"] and not told["unexpected_keys"], f"{told}")
    check(not complaints.lines, "\n".join(complaints.lines))
    with torch.no_grad():
        model(torch.from_numpy(rows[:1, :2].astype("int64")))  # layers are decompressed on their first use
    state = model.state_dict()
    layers, widths = 0, set()
    for module, group, weight in decompressed(out, compressor):
        loaded = state.get(module + ".weight")
        check(loaded is not None, f"{module}: transformers has no weight")
        check(torch.equal(loaded, weight), f"{module}: transformers has other weights")
        layers += 1
        widths.add(group.weights.num_bits)
    check(len(widths) > 1, f"one width alone: {widths}")
    # The same weights in fp32, so that rounded activations do not blur the comparison.
    ours = program_perplexity(out, tokens)
    theirs = perplexity_of(torch.nn.Module.float(model), torch.from_numpy(rows.astype("int64")))
    check(abs(theirs / ours - 1) < 1e-3, f"perplexity {theirs}, the program's {ours}")
    print(f"{layers} layers of widths {sorted(widths)} equal in transformers; perplexity {theirs:.6f}, the program's "
          f"{ours:.6f} ({100 * (theirs / ours - 1):+.4f} %)")

    out = quantize(folder, "true")
    plain = subprocess.run([PROGRAM, "verify", out, "--against", MODEL], capture_output=True, text=True)
    check(plain.returncode == 0, plain.stderr)
    errors = {name: float(error) for name, error in re.findall(r"^(\S+) +weights off by ([0-9.]+)", plain.stdout, re.M)}
    source = tensors_of(MODEL)
    asymmetric = 0
    for module, group, weight in decompressed(out, compressor):
        asymmetric += not group.weights.symmetric
        want = source[module + ".weight"].double()
        error = ((weight.double() - want).norm() / want.norm()).item()
        check(abs(error - errors[module]) < 1e-5, f"{module}: off by {error}, the program says {errors[module]}")
    check(asymmetric > 0, "no layer got an asymmetric scheme")
    print(f"{asymmetric} asymmetric layers decompress to what the program decodes")


if not MODEL.exists():
    skip(f"{MODEL} is not there")
with tempfile.TemporaryDirectory() as temporary:
    main(Path(temporary))
