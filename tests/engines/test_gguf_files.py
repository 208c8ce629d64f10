#!/usr/bin/env python3
"""GGUF files against Python's gguf package: its reader and dequantizer on what the program wrote, the program on what
its writer and quantizer wrote, and its table of names. Called as: TEST.py ENVIRONMENT GGUF_FILES [SEED]."""
import subprocess
import sys
import tempfile
from pathlib import Path

from engines import check, enter

enter(sys.argv[1], "numpy", "gguf")

import gguf  # noqa: E402
import numpy as np  # noqa: E402

TOOL = Path(sys.argv[2]).resolve()
SEED = sys.argv[3] if len(sys.argv) > 3 else "1"
BLOCKS = 1000
ENCODED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "F16", "BF16")


def tensors_of(path):
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def fields_of(path):
    fields = gguf.GGUFReader(path).fields
    return [(key, field.types, [part.tobytes() for part in field.parts]) for key, field in fields.items()
            if not key.startswith("GGUF.")]


def values_of(tensor):
    return gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def bits_of(values):
    return np.ascontiguousarray(values).view(np.uint32)


def count_different(name, got, want):
    check(got.shape == want.shape, f"{name}: {got.shape} instead of {want.shape}")
    different = int((bits_of(got) != bits_of(want)).sum())
    check(different == 0, f"{name}: {different} of {want.size} values differ")


def check_written(folder):
    """What the program encodes decodes in the package to what the program decodes."""
    path = folder / "written.gguf"
    subprocess.run([TOOL, "write", path, SEED, str(BLOCKS)], check=True)
    tensors = tensors_of(path)
    for name in ENCODED:
        check(tensors[name].tensor_type.name == name, f"{name} has type {tensors[name].tensor_type.name}")
        count_different(name, tensors[name + ".decoded"].data, values_of(tensors[name]))
    print(f"{len(ENCODED)} types of {BLOCKS} blocks: all values equal")


def check_read(folder):
    """The program reads and decodes what the package wrote and quantized, and copies its metadata."""
    random = np.random.default_rng(int(SEED))
    path, again = folder / "package.gguf", folder / "again.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("a \u00fc name")
    writer.add_token_list(["<s>", "", "\u2581a", b"\xff"])
    writer.add_token_scores([0.0, -1.5, 2.0, 3.0])
    writer.add_uint16("x.u16", 65535)
    writer.add_int8("x.i8", -128)
    writer.add_int64("x.i64", -2**63)
    writer.add_uint64("x.u64", 2**64 - 1)
    writer.add_float64("x.f64", 0.1)
    writer.add_bool("x.bool", True)
    writer.add_array("x.bools", [True, False])
    writer.add_array("x.numbers", [1, -2, 3])
    types = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
    for name in types:
        kind = gguf.GGMLQuantizationType[name]
        values = random.normal(0, 0.3, (6, 96)).astype(np.float32)
        writer.add_tensor(f"blk.0.{name}", gguf.quantize(values, kind), raw_dtype=kind)
    writer.add_tensor("norm", random.normal(0, 1, 7).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    subprocess.run([TOOL, "decode", path, again], check=True)
    before, after = tensors_of(path), tensors_of(again)
    check(list(before) == list(after), "other tensors or another order")
    for name, tensor in before.items():
        count_different(name, after[name].data, values_of(tensor))
    check(fields_of(path) == fields_of(again), "the metadata differs")
    print(f"{len(before)} tensors of the package's quantizer and {len(fields_of(path))} keys: all equal")


def check_names():
    modules = ["model.embed_tokens", "model.norm", "lm_head"]
    parts = ["input_layernorm", "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    parts += [f"self_attn.{part}" for part in ("q_proj", "k_proj", "v_proj", "o_proj")]
    modules += [f"model.layers.{block}.{part}" for block in (0, 17) for part in parts]
    normed = [f"model.layers.3.self_attn.{part}" for part in ("q_norm", "k_norm")]
    compared = 0
    for arch, extra in (("LLAMA", []), ("QWEN2", []), ("QWEN3", normed)):
        table = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch], 32)
        names = [f"{module}.weight" for module in modules + extra]
        lines = subprocess.run([TOOL, "names", *names], check=True, capture_output=True, text=True).stdout.splitlines()
        for line in lines:
            hugging_face, ours = line.split()
            theirs = table.get_name(hugging_face, try_suffixes=(".weight", ".bias"))
            check(ours == theirs, f"{arch}: {hugging_face} is {theirs}, not {ours}")
            compared += 1
    print(f"{compared} names: all equal")


with tempfile.TemporaryDirectory() as temporary:
    check_written(Path(temporary))
    check_read(Path(temporary))
check_names()
