#!/usr/bin/env python3
"""A peer to compare with: uniform GPTQ of llm-compressor, W4 g64 symmetric, on given calibration tokens, on the CPU.

    llm_compressor_w4g64.py MODEL_DIR TOKENS.i32 OUT_DIR [--length 512] [--rows N] [--blocks N] [--bits 4] [--group 64]

Needs llmcompressor of PyPI (0.14.0.1 looked at, with torch 2.14 and transformers 5.17) and no network. TOKENS are raw
int32 rows (token_rows.py), of which the first N are used, in the order of the file. The library's defaults stand:
static activation order, damping 0.01, block after block on the inputs of the quantized blocks before. The model runs in
fp32; the head stays as it is. --blocks quantizes the first N blocks only, for a quick try. OUT_DIR gets

    compressed/   compressed-tensors, scales in the dtype of the model's config, as the library stores it
    plain/        the model's own file with the weights of compressed/ decoded by the library, in that dtype

so that one program measures all: `shardquant eval OUT_DIR/plain --against MODEL_DIR`.
"""

import argparse
import json
import pathlib
import shutil
import time

import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM


def read_rows(path, length, count):
    rows = np.fromfile(path, dtype="<i4").reshape(-1, length)[:count]
    return Dataset.from_dict({"input_ids": rows.tolist(), "attention_mask": np.ones_like(rows).tolist()})


def quantize(options):
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    blocks = model.config.num_hidden_layers
    unwanted = [rf"re:model\.layers\.{block}\..*" for block in range(options.blocks or blocks, blocks)]
    weights = QuantizationArgs(num_bits=options.bits, type="int", symmetric=True, strategy="group", group_size=options.group)
    recipe = GPTQModifier(config_groups={"group_0": QuantizationScheme(targets=["Linear"], weights=weights)},
                          ignore=["lm_head", *unwanted])
    rows = read_rows(options.tokens, options.length, options.rows)
    oneshot(model=model, dataset=rows, recipe=recipe, max_seq_length=options.length,
            num_calibration_samples=len(rows), shuffle_calibration_samples=False)
    return model


def decode(compressed, config):
    """The weights of the quantized modules, name -> tensor, through the library's own decompression."""
    stored = load_file(compressed / "model.safetensors")
    scheme = QuantizationScheme.model_validate(config["quantization_config"]["config_groups"]["group_0"])
    compressor = BaseCompressor.get_value_from_registry("pack-quantized")
    decoded = {}
    for name in stored:
        if name.endswith(".weight_packed"):
            module = name.removesuffix("weight_packed")
            parts = {key.removeprefix(module): value for key, value in stored.items() if key.startswith(module)}
            decoded[module + "weight"] = compressor.decompress(parts, scheme)["weight"]
    return decoded


def write_plain(options, compressed):
    """The model's own tensors with the decoded ones in their places; the model must be one file."""
    plain = options.out / "plain"
    plain.mkdir(parents=True, exist_ok=True)
    config = json.loads((compressed / "config.json").read_text())
    tensors = load_file(options.model / "model.safetensors")
    decoded = decode(compressed, config)
    for name, weight in decoded.items():
        assert weight.dtype == tensors[name].dtype and weight.shape == tensors[name].shape, name
        tensors[name] = weight.contiguous()
    save_file(tensors, plain / "model.safetensors", metadata={"format": "pt"})
    for file in options.model.iterdir():
        if file.suffix in (".json", ".model"):
            shutil.copyfile(file, plain / file.name)
    return len(decoded)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("tokens", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--blocks", type=int)
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group", type=int, default=64)
    options = parser.parse_args()
    begin = time.process_time()
    model = quantize(options)
    stored = json.loads((options.model / "config.json").read_text())
    model.to(getattr(torch, stored.get("dtype") or stored["torch_dtype"]))
    compressed = options.out / "compressed"
    model.save_pretrained(compressed, save_compressed=True)
    count = write_plain(options, compressed)
    print(f"{options.out}: {count} layers of W{options.bits} g{options.group}, {time.process_time() - begin:.0f} s of CPU")


if __name__ == "__main__":
    main()
