#!/usr/bin/env python3
"""Layers that the program packed, against the library of compressed-tensors: every width and group, symmetric and
asymmetric, scales of three types. Called as: TEST.py ENVIRONMENT WRITE_PACKED_LAYERS [SEED]."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from engines import check, enter

enter(sys.argv[1], "torch", "safetensors", "compressed_tensors")

import torch  # noqa: E402
from compressed_tensors.compressors import BaseCompressor  # noqa: E402
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32  # noqa: E402
from compressed_tensors.quantization import QuantizationConfig  # noqa: E402
from compressed_tensors.utils.match import match_name  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

torch.set_num_threads(1)  # the layers are small, and threads that wait for busy processors take minutes

WRITER = Path(sys.argv[2]).resolve()
SEED = sys.argv[3] if len(sys.argv) > 3 else "1"


def scheme_of(config, module):
    """The one scheme that the library finds for a module."""
    found = [group for group in config.config_groups.values()
             if any(match_name(module, target) for target in group.targets)]
    check(len(found) == 1, f"{module}: {len(found)} schemes")
    check(not any(match_name(module, target) for target in config.ignore), f"{module} is ignored")
    return found[0]


def bits_of(tensor):
    return tensor.float().contiguous().view(torch.int32)


def check_words(module, state, bits):
    """The library's packer makes the same words of the same integers."""
    shape = state["weight_shape"].tolist()
    codes = unpack_from_int32(state["weight_packed"], bits, torch.Size(shape))
    check(torch.equal(pack_to_int32(codes, bits), state["weight_packed"]), f"{module}: words differ")
    zeros = state.get("weight_zero_point")
    if zeros is not None:
        shape = torch.Size([shape[0], state["weight_scale"].shape[1]])
        points = unpack_from_int32(zeros, bits, shape, packed_dim=0)
        check(torch.equal(pack_to_int32(points, bits, packed_dim=0), zeros), f"{module}: zero points differ")


def main(folder):
    subprocess.run([WRITER, folder, SEED], check=True)
    packed = load_file(folder / "model.safetensors")
    decoded = load_file(folder / "decoded.safetensors")
    entry = json.loads((folder / "config.json").read_text())["quantization_config"]
    config = QuantizationConfig.model_validate(entry)
    compressor = BaseCompressor.get_value_from_registry("pack-quantized")
    for module, values in decoded.items():
        state = {name[len(module) + 1:]: tensor for name, tensor in packed.items() if name.startswith(module + ".")}
        scheme = scheme_of(config, module)
        weight = compressor.decompress(state, scheme)["weight"]
        check(weight.dtype == state["weight_scale"].dtype, f"{module}: decompressed to {weight.dtype}")
        different = int((bits_of(weight) != bits_of(values)).sum())
        check(different == 0, f"{module}: {different} of {values.numel()} values differ")
        check_words(module, state, scheme.weights.num_bits)
    print(f"{len(decoded)} layers of {len(config.config_groups)} schemes: all values and words equal")


with tempfile.TemporaryDirectory() as temporary:
    main(Path(temporary))
