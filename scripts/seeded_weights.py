"""Weights from a seed: the same bits wherever they are made. tests/data/families/README.md is the specification."""

import re

import numpy as np


def start_of(seed, name):
    """64-bit FNV-1a of the name, begun at its basis xor seed * 0x9E37...: the state that SplitMix64 starts from."""
    state = 0xCBF29CE484222325 ^ seed * 0x9E3779B97F4A7C15 % 2**64
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return state


def draw(seed, name, count):
    with np.errstate(over="ignore"):
        steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = np.uint64(start_of(seed, name)) + steps
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def make_tensor(seed, tensor):
    """center + scale * u with u from the upper 24 bits, even in [-1, 1); doubles, rounded once."""
    u = (draw(seed, tensor["name"], int(np.prod(tensor["shape"]))) >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0
    return (tensor["center"] + tensor["scale"] * u).astype(np.float32).reshape(tensor["shape"])


def make_tokens(seed, length, vocabulary):
    """The last 8 ids are left out: the wrappers' image, video and audio tokens."""
    return [int(z % np.uint64(vocabulary - 8)) for z in draw(seed, f"tokens/{length}", length)]


# Where the values lie, by the first pattern that fits a name: (pattern, center, scale, factor of 1 / sqrt(inputs)).
# Norms and the vectors beside them stay near 1, biases small; routers are steep, so that the chosen experts stand out.
RULES = [
    (r"linear_attn\.norm\.weight$", 1.0, 0.25, None),
    (r"A_log$", -1.5, 1.5, None),
    (r"dt_bias$", 0.0, 1.0, None),
    (r"e_score_correction_bias$", 0.0, 0.25, None),
    (r"layer_scalar$", 0.875, 0.125, None),
    (r"(per_expert_scale|router\.scale)$", 1.0, 0.25, None),
    (r"(mlp|block_sparse_moe)\.gate\.weight$|router\.proj\.weight$", 0.0, None, 6.0),
    (r"norm[^.]*\.bias$", 0.0, 0.125, None),
    (r"\.bias$", 0.0, 0.25, None),
]
SQRT_3 = 3**0.5  # the half width of an even distribution of variance 1


def is_norm(name, shape):
    return len(shape) == 1 and re.search(r"norm|\.ln_?\d", name) and name.endswith("weight")


def distribution(name, shape, family):
    """center and scale of a tensor, multiples of 2^-12, so that a decimal fraction holds them exactly."""
    for pattern, center, scale, gain in [*family.rules, *RULES]:
        if re.search(pattern, name):
            break
    else:
        if is_norm(name, shape):
            center, scale, gain = family.norm_center, 0.25, None
        elif "embed_tokens" in name:
            center, scale, gain = 0.0, family.embedding_scale, None
        else:
            center, scale, gain = 0.0, None, 1.0
    if gain is not None:
        inputs = shape[-1] if len(shape) < 3 or not family.experts_transposed else shape[1]
        scale = gain * SQRT_3 / max(inputs, 1)**0.5
    return {"center": center, "scale": round(scale * 4096) / 4096}
