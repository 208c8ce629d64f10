#!/usr/bin/env python3
"""llm_compressor_w4g64.py on two blocks of a small trained model: what it leaves is a plain folder that the program
evaluates, in which only the layers of those blocks differ, by no more than 4 bits cost. Called as: TEST.py PROGRAM SHARED_DATA."""
import json
import pathlib
import subprocess
import sys
import tempfile

from safetensors.torch import load_file

HERE = pathlib.Path(__file__).resolve().parent
LENGTH, ROWS, BLOCKS = 256, 4, 2


def check(condition, text):
    if not condition:
        sys.exit(f"FAILED: {text}")


def relative_error(one, other):
    return ((one.float() - other.float()).norm() / other.float().norm()).item()


def main(program, shared):
    model, tokens = shared / "models/stories3M", shared / "data/tokens/tinystories_tok512.i32"
    if not model.exists():
        print(f"SKIPPED: no {model}")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        row_bytes = 4 * LENGTH
        stream = tokens.read_bytes()
        (folder / "calibration.i32").write_bytes(stream[:ROWS * row_bytes])
        (folder / "held_out.i32").write_bytes(stream[ROWS * row_bytes:2 * ROWS * row_bytes])
        subprocess.check_call([sys.executable, "-B", HERE / "llm_compressor_w4g64.py", model, folder / "calibration.i32",
                               folder / "out", "--length", str(LENGTH), "--blocks", str(BLOCKS)], cwd=folder)
        plain, own = (load_file(path / "model.safetensors") for path in (folder / "out/plain", model))
        errors = {name: relative_error(plain[name], own[name]) for name in own}
        changed = {name for name, error in errors.items() if error > 0}
        wanted = {name for name in own if "_proj." in name and int(name.split(".")[2]) < BLOCKS}
        check(changed == wanted, f"changed: {sorted(changed)}")
        check(max(errors.values()) < 0.4, f"largest error of a layer's weights {max(errors.values()):.3f}")
        said = subprocess.check_output([program, "eval", folder / "out/plain", "--against", model, "--tokens",
                                        folder / "held_out.i32", "--length", str(LENGTH), "--json"])
        divergence = json.loads(said)["kl_mean"]
        check(0 < divergence < 0.2, f"KL {divergence}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
