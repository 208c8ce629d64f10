#!/usr/bin/python3
"""Trains the demo model and writes configs/demo: model folder, calibration and evaluation tokens.

    scripts/train_demo_model.py [--out configs/demo] [--steps 3000] [--check]

A Llama of hidden 256, 2 layers, 8 heads, 4 key/value heads, ffn 768, separate head, over a
vocabulary of 512 (bytes and words), trained on the text of demo_corpus.py. Needs only PyTorch
(Debian: python3-torch, libopenblas0-pthread). One core, seeded: the same machine and library give
the same file. --check prints the table of round-to-nearest perplexities of the model that is
already there.

The model in the repository: 3000 steps of 2048 tokens, loss 0.441 at the end, about a quarter of an
hour of one idle AVX-512 core with PyTorch 1.13. Perplexity on eval.i32, weights of the decoder layers
rounded to nearest in groups of 128 inputs:

    bits         fp16       8       6       5       4       3       2
    perplexity 1.5561  1.5561  1.5565  1.5568  1.5602  1.5831  2.5096
"""

import argparse
import ctypes
import json
import math
import os
import pathlib
import struct
import time

# OpenBLAS picks its kernels by processor model while it is loaded and takes 20 year old ones for
# models it does not know; one thread, because sums split over threads round differently.
if "avx512dq" in pathlib.Path("/proc/cpuinfo").read_text():
    os.environ.setdefault("OPENBLAS_CORETYPE", "SKYLAKEX")
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

import demo_corpus  # noqa: E402

HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, VOCABULARY = 256, 768, 2, 8, 4, 512
HEAD_DIM = HIDDEN // HEADS
EPSILON, THETA, LENGTH = 1e-5, 10000.0, 256
WORLD_SEED, VOCABULARY_SEED, TRAIN_SEED, CALIBRATION_SEED, EVAL_SEED = 7, 50, 100, 200, 300
TRAIN_TOKENS, CALIBRATION_TOKENS, EVAL_TOKENS = 12_000_000, 64 * LENGTH, 192 * LENGTH
BATCH, PEAK_RATE, WARM_UP = 8, 2e-3, 200


def keep_freed_memory():
    """Lets the C library reuse large blocks, which it would map and clear anew in every step."""
    libc = ctypes.CDLL(None)
    m_trim_threshold, m_mmap_threshold = -1, -3
    libc.mallopt(m_mmap_threshold, 1 << 30)
    libc.mallopt(m_trim_threshold, 2**31 - 1)


def make_vocabulary():
    return demo_corpus.Vocabulary(demo_corpus.World(WORLD_SEED), VOCABULARY_SEED, VOCABULARY)


def tokens_of(seed, count):
    return demo_corpus.token_stream(demo_corpus.World(WORLD_SEED), make_vocabulary(), seed, count)


def make_weights(seed):
    generator = torch.Generator().manual_seed(seed)

    def normal(rows, cols, deviation):
        return torch.randn(rows, cols, generator=generator) * deviation

    weights = {"model.embed_tokens.weight": normal(VOCABULARY, HIDDEN, 0.5),
               "model.norm.weight": torch.ones(HIDDEN),
               "lm_head.weight": normal(VOCABULARY, HIDDEN, 0.02)}
    for layer in range(LAYERS):
        name = f"model.layers.{layer}."
        shapes = {"self_attn.q_proj": (HIDDEN, HIDDEN),
                  "self_attn.k_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
                  "self_attn.v_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
                  "self_attn.o_proj": (HIDDEN, HIDDEN),
                  "mlp.gate_proj": (FFN, HIDDEN), "mlp.up_proj": (FFN, HIDDEN),
                  "mlp.down_proj": (HIDDEN, FFN)}
        for part, (rows, cols) in shapes.items():
            shrink = math.sqrt(2 * LAYERS) if part.endswith(("o_proj", "down_proj")) else 1.0
            weights[name + part + ".weight"] = normal(rows, cols, 1.0 / math.sqrt(cols) / shrink)
        weights[name + "input_layernorm.weight"] = torch.ones(HIDDEN)
        weights[name + "post_attention_layernorm.weight"] = torch.ones(HIDDEN)
    return weights


def rms_norm(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * weight


def rotate(x, cosines, sines):
    """x: [batch, heads, length, head_dim]; Hugging Face's half-split layout."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)


def forward(weights, tokens):
    """Logits [batch, length, vocabulary] of tokens [batch, length]."""
    batch, length = tokens.shape
    frequencies = THETA ** (-torch.arange(0, HEAD_DIM, 2, dtype=torch.float64) / HEAD_DIM)
    angles = torch.outer(torch.arange(length, dtype=torch.float64), frequencies)
    cosines, sines = angles.cos().float(), angles.sin().float()
    mask = torch.full((length, length), -math.inf).triu(1)
    x = functional.embedding(tokens, weights["model.embed_tokens.weight"])
    for layer in range(LAYERS):
        w = {key.split(".", 3)[3]: value for key, value in weights.items()
             if key.startswith(f"model.layers.{layer}.")}
        inputs = rms_norm(x, w["input_layernorm.weight"])
        q, k, v = (functional.linear(inputs, w[f"self_attn.{part}_proj.weight"])
                   .view(batch, length, -1, HEAD_DIM).transpose(1, 2) for part in "qkv")
        q, k = rotate(q / math.sqrt(HEAD_DIM), cosines, sines), rotate(k, cosines, sines)
        k, v = (part.repeat_interleave(HEADS // KV_HEADS, dim=1) for part in (k, v))
        scores = q @ k.transpose(2, 3) + mask
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, HIDDEN)
        x = x + functional.linear(mixed, w["self_attn.o_proj.weight"])
        inputs = rms_norm(x, w["post_attention_layernorm.weight"])
        gated = functional.silu(functional.linear(inputs, w["mlp.gate_proj.weight"]))
        gated = gated * functional.linear(inputs, w["mlp.up_proj.weight"])
        x = x + functional.linear(gated, w["mlp.down_proj.weight"])
    return functional.linear(rms_norm(x, weights["model.norm.weight"]), weights["lm_head.weight"])


def loss_of(weights, tokens):
    logits = forward(weights, tokens)[:, :-1]
    return functional.cross_entropy(logits.reshape(-1, VOCABULARY), tokens[:, 1:].reshape(-1))


def train(steps):
    weights = {name: value.requires_grad_() for name, value in make_weights(1).items()}
    matrices = [value for value in weights.values() if value.dim() == 2]
    vectors = [value for value in weights.values() if value.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.05},
                                   {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.98))
    data = torch.tensor(tokens_of(TRAIN_SEED, TRAIN_TOKENS), dtype=torch.int16)
    generator = torch.Generator().manual_seed(2)
    start, mean = time.time(), None
    for step in range(steps):
        rate = PEAK_RATE * min((step + 1) / WARM_UP, 0.02 + 0.98 * (1 - step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        places = torch.randint(len(data) - LENGTH, (BATCH,), generator=generator)
        tokens = torch.stack([data[place:place + LENGTH] for place in places]).long()
        loss = loss_of(weights, tokens)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
        optimizer.step()
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 100 == 99:
            seconds = time.time() - start
            print(f"step {step + 1}/{steps}  loss {mean:.4f}  {seconds:.0f} s", flush=True)
    return {name: value.detach().half() for name, value in weights.items()}


def write_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        size = tensors[name].numel() * 2
        header[name] = {"dtype": "F16", "shape": list(tensors[name].shape),
                        "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            file.write(tensors[name].contiguous().numpy().tobytes())


def read_safetensors(path):
    raw = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__")
    data = bytearray(raw[8 + size:])
    return {name: torch.frombuffer(data, dtype=torch.float16, count=math.prod(entry["shape"]),
                                   offset=entry["data_offsets"][0]).view(entry["shape"])
            for name, entry in header.items()}


def tokenizer_note():
    words = (word.decode() for word in make_vocabulary().words)
    return ("Tokens 0..255 are bytes; token 1 begins every document, a newline ends it. Tokens\n"
            "from 256 on are the words below, in quotes, with the blank before them. Text is cut\n"
            "into words and single characters; a word not in the list is spelled in bytes.\n\n"
            + "".join(f'"{word}"\n' for word in words))


def write_model(folder, weights):
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "model.safetensors", weights)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": HIDDEN, "intermediate_size": FFN, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM,
        "vocab_size": VOCABULARY, "max_position_embeddings": LENGTH, "rms_norm_eps": EPSILON,
        "rope_theta": THETA, "rope_scaling": None, "attention_bias": False, "mlp_bias": False,
        "attention_dropout": 0.0, "initializer_range": 0.02, "tie_word_embeddings": False,
        "bos_token_id": demo_corpus.BEGIN, "eos_token_id": demo_corpus.BEGIN,
        "torch_dtype": "float16", "use_cache": True}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    generation = {"bos_token_id": demo_corpus.BEGIN, "eos_token_id": demo_corpus.BEGIN,
                  "do_sample": True}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    (folder / "tokenizer_note.txt").write_text(tokenizer_note())


def write_tokens(path, seed, count):
    path.write_bytes(struct.pack(f"<{count}i", *tokens_of(seed, count)))


def perplexity(weights, path):
    data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.int32).long().view(-1, LENGTH)
    with torch.no_grad():
        losses = [loss_of(weights, rows) for rows in data.split(16)]
    return math.exp(sum(losses) / len(losses))


def rounded_to_nearest(weight, bits, group=128):
    """Symmetric codes with one scale per output and `group` inputs, as EXL2 lays them out."""
    rows, cols = weight.shape
    parts = weight.view(rows, cols // group, group)
    scale = parts.abs().amax(-1, keepdim=True) / ((2 ** bits - 1) / 2)
    codes = (parts / scale).round().clamp(-2 ** (bits - 1), 2 ** (bits - 1) - 1)
    return (codes * scale).view(rows, cols)


def print_table(out):
    stored = {name: value.float() for name, value in
              read_safetensors(out / "model" / "model.safetensors").items()}
    print(f"fp16                 {perplexity(stored, out / 'eval.i32'):8.4f}")
    for bits in (8, 6, 5, 4, 3, 2):
        weights = {name: rounded_to_nearest(value, bits) if "_proj" in name else value
                   for name, value in stored.items()}
        print(f"round to nearest, {bits}  {perplexity(weights, out / 'eval.i32'):8.4f}", flush=True)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=pathlib.Path, default=root / "configs" / "demo")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--check", action="store_true",
                        help="only print the table of what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    if not arguments.check:
        write_model(arguments.out / "model", train(arguments.steps))
        write_tokens(arguments.out / "calibration.i32", CALIBRATION_SEED, CALIBRATION_TOKENS)
        write_tokens(arguments.out / "eval.i32", EVAL_SEED, EVAL_TOKENS)
    print_table(arguments.out)


if __name__ == "__main__":
    main()
