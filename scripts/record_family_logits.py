#!/usr/bin/env python3
"""Records what transformers computes for tiny models of every family, for tests that need neither it nor a network.

    record_family_logits.py [--out tests/data/families] [NAME...]

Run by hand (PyPI: torch, transformers, safetensors, numpy). family_models.py names the models; for each of them this
writes NAME/config.json, tensors.json (how to make the weights), logits.json and logits.f32, whose formats
tests/data/families/README.md describes. Attention and experts run in their plain ("eager") forms in fp32 on one thread.

Golden logits must not hang on a near tie of a router: every model is run again with all weights off by a millionth, at
random, and a seed whose logits move by more than LARGEST_NOISE of their range is passed over for the next.
"""

import argparse
import copy
import json
import os
import pathlib
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

import family_models  # noqa: E402
import seeded_weights  # noqa: E402

LENGTHS = [1, 7, 64, 65, 200]
POSITIONS = {1: [0], 7: list(range(7)), 64: [0, 31, 62, 63], 65: [0, 62, 63, 64],
             200: [0, 1, 62, 63, 64, 65, 127, 128, 129, 191, 192, 198, 199]}
VARIANT_ROWS = [1, 3]  # of LENGTHS
LARGEST_NOISE, PERTURBED_RUNS = 2e-5, 4
LEAST_EFFECT = 2e-3  # of a variant, as a share of the range of the logits


def merge_patch(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def write_config(config, folder, load_as):
    (folder / "config.json").write_text(json.dumps({**config, **load_as}))


def stored_shapes(family):
    """Names and shapes as a published checkpoint has them: what save_pretrained writes, laid out as the family says."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write_config(family.config, folder, family.load_as)
        config = transformers.AutoConfig.from_pretrained(folder)
        model = getattr(transformers, family.reference_class())(config)
        model.save_pretrained(folder / "saved")
        with safe_open(folder / "saved" / "model.safetensors", "np") as stored:
            shapes = {name: stored.get_slice(name).get_shape() for name in stored.keys()}
    shapes = family.layout(shapes)
    return {**shapes, **family.extra}


def make_tensors(family):
    shapes = stored_shapes(family)
    return [{"name": name, "shape": list(shape), **seeded_weights.distribution(name, shape, family),
             **({"copied": True} if family.is_copied(name) else {})}
            for name, shape in sorted(shapes.items())]


def load_model(config, family, weights):
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write_config(config, folder, family.load_as)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        model, info = getattr(transformers, family.reference_class()).from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager",
            output_loading_info=True)
    unexpected = {name for name in info["unexpected_keys"] if not family.is_ignored(name)}
    if info["missing_keys"] or unexpected or info["mismatched_keys"]:
        raise SystemExit(f"{family.name}: weights do not fit: {info}, unexpected {unexpected}")
    return model.eval()


@torch.no_grad()
def logits_of(model, rows):
    """Rows one by one, short ones first: what a dynamic RoPE scaling does depends on the length of the row alone."""
    return [model(input_ids=torch.tensor([row]), use_cache=False).logits[0].double().numpy() for row in rows]


def spread(logits):
    everything = np.concatenate(logits)
    return float(everything.max() - everything.min())


def largest_difference(one, other):
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other))


@torch.no_grad()
def noise_of(model, rows, logits):
    """How far the logits move, as a share of their range, when every weight is off by up to a millionth."""
    torch.manual_seed(0)
    worst = 0.0
    for _ in range(PERTURBED_RUNS):
        perturbed = copy.deepcopy(model)
        for parameter in [*perturbed.parameters(), *perturbed.buffers()]:
            if parameter.is_floating_point():
                parameter.mul_(1 + 1e-6 * (2 * torch.rand_like(parameter) - 1))
        worst = max(worst, largest_difference(logits, logits_of(perturbed, rows)))
    return worst / spread(logits)


def run(config, family, weights, rows):
    model = load_model(config, family, weights)
    logits = logits_of(model, rows)
    if not all(np.isfinite(row).all() for row in logits):
        raise SystemExit(f"{family.name}: logits that are not finite")
    return logits, noise_of(model, rows, logits)


def rounded(value, digits):
    return float(f"{value:.{digits}g}")


def sample(logits):
    """What is stored of a run: the chosen positions of every row, then every row's mean over all positions."""
    chosen = [row[POSITIONS[len(row)]].ravel() for row in logits]
    means = [row.mean(axis=0) for row in logits]
    return np.concatenate(chosen + means).astype("<f4")


def record_seed(family, tensors, seed):
    """All runs of a family with one seed, or None where one of them is too close to a tie."""
    weights = {t["name"]: seeded_weights.make_tensor(seed, t) for t in tensors}
    vocabulary = family.text_config()["vocab_size"]
    rows = [seeded_weights.make_tokens(seed, length, vocabulary) for length in LENGTHS]
    runs, stored, base = [], [], None
    for name, patch in [("base", {}), *family.variants]:
        chosen = list(range(len(rows))) if name == "base" else VARIANT_ROWS
        logits, noise = run(merge_patch(family.config, patch), family, weights, [rows[i] for i in chosen])
        if noise > LARGEST_NOISE:
            return None
        base = base or logits
        effect = largest_difference([base[i] for i in chosen], logits) / spread(base)
        same = name.startswith("spelled")
        if name != "base" and (effect > 1e-6 if same else effect < LEAST_EFFECT):
            raise SystemExit(f"{family.name}, {name}: moves the logits by {effect:.2g} of their range")
        runs.append({"name": name, "patch": patch, "rows": chosen, "offset": sum(map(len, stored)),
                     "range": rounded(spread(logits), 6), "noise": rounded(noise, 2), "effect": rounded(effect, 2)})
        stored.append(sample(logits))
    return {"seed": seed, "rows": rows, "runs": runs}, np.concatenate(stored)


def write_family(folder, family, tensors, record, values):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(family.config, indent=1) + "\n")
    lines = ",\n".join(json.dumps(tensor) for tensor in tensors)
    (folder / "tensors.json").write_text(f"[\n{lines}\n]\n")
    values.tofile(folder / "logits.f32")
    head = {"reference": f"{family.reference_class()} of transformers {transformers.__version__}, "
                         f"torch {torch.__version__}, fp32, eager",
            "vocabulary": family.text_config()["vocab_size"], "seed": record["seed"]}
    lists = {"rows": record["rows"], "positions": [POSITIONS[length] for length in LENGTHS], "runs": record["runs"]}
    lists = {key: ",\n  ".join(map(json.dumps, items)) for key, items in lists.items()}
    text = json.dumps(head, indent=1)[:-2]
    for key, items in lists.items():
        text += f',\n "{key}": [\n  {items}\n ]'
    (folder / "logits.json").write_text(text + "\n}\n")


def record(family, out):
    tensors = make_tensors(family)
    for seed in range(1, 60):
        found = record_seed(family, tensors, seed)
        if found:
            break
    else:
        raise SystemExit(f"{family.name}: no seed keeps clear of ties")
    write_family(out / family.name, family, tensors, *found)
    runs = found[0]["runs"]
    size = sum(file.stat().st_size for file in (out / family.name).iterdir())
    print(f"{family.name}: seed {seed}, {len(tensors)} tensors, {size / 1024:.0f} KiB, range {runs[0]['range']:.2f}, "
          f"noise {max(r['noise'] for r in runs):.1e}; " + ", ".join(f"{r['name']} {r['effect']:.2g}" for r in runs[1:]),
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/data/families"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    families = family_models.all_families()
    for name in options.names or families:
        record(families[name], options.out)


if __name__ == "__main__":
    main()
