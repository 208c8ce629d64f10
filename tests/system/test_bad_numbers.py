"""Numbers that cannot be worked with end in 65, naming tensor, place and count; numbers that are only
large or small give finite results.
Arguments: PROGRAM MAKE_MODEL SOURCE_DIR TIME_FACTOR."""

import json
import math
import re

from bad_input import (Jobs, Tally, fill, main, read_safetensors, run, set_element, tree_hashes,
                       write_safetensors)

TINY = 1e-41  # a denormal of fp32


def edit(jobs, good, change):
    """A copy of the model with its tensors changed."""
    model = jobs.copy(good, "model")
    tensors = read_safetensors(good / "model.safetensors")
    change(tensors)
    write_safetensors(model / "model.safetensors", tensors)
    return model


def place(tensor, index):
    shape = tensor[1]
    return f"[{index}]" if len(shape) == 1 else f"[{index // shape[1]}, {index % shape[1]}]"


def kinds(tensors):
    """One tensor of every kind."""
    return [name for name in tensors if ".layers." not in name or ".layers.1." in name]


def test_nan(jobs, good, extra):
    tally = Tally("NUM-NAN")
    for model in (good, extra):
        tensors = read_safetensors(model / "model.safetensors")
        names = kinds(tensors)
        if model is extra:
            names = [name for name in names if "q_norm" in name or "k_norm" in name]
        for name in names:
            for value in (math.nan, math.inf):
                index = 70 if len(tensors[name][1]) == 2 else 5
                def change(changed):
                    set_element(changed, name, index, value)
                    set_element(changed, name, index + 2, value)
                outcome = jobs.run(jobs.job(edit(jobs, model, change)))
                faults = [] if not (jobs.work / "out").exists() else ["left an output"]
                tally.check(f"{name} {value}", outcome, 65,
                            (f'"{name}"', "2 values", place(tensors[name], index)), faults)
    # A row of zeros and no epsilon: 0 / 0 on the calibration path.
    def zero_row(changed):
        _, shape, data = changed["model.embed_tokens.weight"]
        data[:] = bytes(len(data))
    model = edit(jobs, good, zero_row)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.0}))
    outcome = jobs.run(jobs.job(model))
    tally.check("calibration path", outcome, 65, ("model.layers.0:", "NaN", "token 0, channel 0"))
    outcome = run([jobs.program, "eval", model, "--tokens", jobs.work / "tokens.i32", "--length", 64])
    tally.check("evaluation path", outcome, 65, ("model.layers.0:", "token 0, channel 0"))
    tally.report()


def test_half(jobs, good):
    tally = Tally("NUM-F16")
    tensors = read_safetensors(good / "model.safetensors")
    assert tensors["model.norm.weight"][0] == "BF16"
    for name in kinds(tensors):
        def change(changed):
            set_element(changed, name, 66, 65536.0) if len(tensors[name][1]) == 2 else \
                set_element(changed, name, 6, -65536.0)
        model = edit(jobs, good, change)
        words = (f'"{name}"', "1 values are beyond fp16 (65504)",
                 place(tensors[name], 66 if len(tensors[name][1]) == 2 else 6))
        for head_bits in (6, 16):
            if name == "lm_head.weight" or head_bits == 6:
                outcome = jobs.run(jobs.job(model), f"allocate.head_bits={head_bits}")
                tally.check(f"{name}, head {head_bits}", outcome, 65, words)
                if (jobs.work / "out").exists():
                    left = [p.name for p in (jobs.work / "out").glob("*.safetensors")]
                    tally.check(f"{name}: output", outcome, 65, (), left)
    tally.report()


def perplexity(jobs, model):
    outcome = run([jobs.program, "eval", model, "--tokens", jobs.work / "tokens.i32", "--length", 64,
                   "--json"])
    return outcome, float(re.search(r'"perplexity": ([0-9.e+-]+)', outcome.out + "1").group(1)
                          if outcome.code == 0 else "nan")


def finite_result(jobs, tally, case, model, words=()):
    """A run through to an output whose numbers are numbers, as the program reads it back."""
    outcome = jobs.run(jobs.job(model))
    faults = [f"{word!r} is not said" for word in words if word not in outcome.err]
    if outcome.code == 0:
        measured = json.loads((jobs.work / "out" / "measurement.json").read_text())
        errors = [o["err"] for layer in measured["measurement"] for o in layer["options"]]
        if not all(0.0 <= err <= 1.0 for err in errors):
            faults.append("an error is no number from 0 to 1")
        verified = run([jobs.program, "verify", jobs.work / "out"])
        if verified.code != 0:
            faults.append("verify: " + verified.err)
        _, value = perplexity(jobs, jobs.work / "out")
        if not math.isfinite(value):
            faults.append("the output does not evaluate")
    tally.check(case, outcome, 0, (), faults)
    return outcome


def test_big(jobs):
    tally = Tally("NUM-BIG")
    wide = jobs.model("wide", "--hidden", 256, "--dtype", "F32")
    for name in ("model.layers.0.input_layernorm.weight",
                 "model.layers.0.post_attention_layernorm.weight", "model.norm.weight"):
        # A normed outlier is up to sqrt(256) times its weight: close to 1e6.
        finite_result(jobs, tally, name, edit(jobs, wide, lambda t: set_element(t, name, 3, 62500.0)))
    def outliers(tensors):
        for index in (3, 90, 200):
            set_element(tensors, "model.layers.0.input_layernorm.weight", index, 62500.0)
            set_element(tensors, "model.layers.0.post_attention_layernorm.weight", index, -62500.0)
    finite_result(jobs, tally, "several", edit(jobs, wide, outliers))
    tally.report()


def test_tiny(jobs):
    tally = Tally("NUM-TINY")
    single = jobs.model("single", "--dtype", "F32")
    layer = "model.layers.0."
    def one(tensors):
        fill(tensors, layer + "self_attn.k_proj.weight", 0.0)
        set_element(tensors, layer + "self_attn.k_proj.weight", 70, 1e-9)
    cases = {"a layer of zeros": (lambda t: fill(t, layer + "mlp.up_proj.weight", 0.0), ()),
             "one of 1e-9": (one, ("so small that they are stored as zero",)),
             "denormals": (lambda t: fill(t, layer + "self_attn.v_proj.weight", TINY),
                           ("so small that they are stored as zero",)),
             "a norm of zeros": (lambda t: fill(t, layer + "input_layernorm.weight", 0.0),
                                 ("input(s) always zero",)),
             "a zero channel": (lambda t: set_element(t, layer + "input_layernorm.weight", 9, 0.0),
                                ("1 input(s) always zero, in 1 group(s): model.layers.0.attn_in",))}
    for case, (change, words) in cases.items():
        finite_result(jobs, tally, case, edit(jobs, single, change), words)
    tally.report()


def test_rounding(jobs, good):
    """Fewer tokens than inputs and no damping: no factor exists, in fp32 nor in fp64."""
    tally = Tally("HESS-RTN")
    job = jobs.job(good, rows=1)
    bare = ("calibration.length=16", "quantizer.damping=0", "quantizer.damping_floor=1e-12")
    refused = jobs.run(job, *bare)
    tally.check("refused", refused, 65, ("model.layers.", "quantizer.max_rtn_layers allows 0",
                                         "raise quantizer.damping"))
    again = jobs.run(job, *bare, clean=False)
    tally.check("refused again with what was measured", again, 65, ("max_rtn_layers allows 0",))
    allowed = jobs.run(job, *bare, "quantizer.max_rtn_layers=14", clean=False)
    said = re.search(r"warning: (\d+) layer\(s\) rounded to nearest", allowed.err)
    events = (jobs.work / "work" / "events.jsonl").read_text()
    faults = [] if said and int(said.group(1)) > 0 else ["the layers are not listed at the end"]
    if '"factor":"round_to_nearest"' not in events:
        faults.append("no event says so")
    tally.check("allowed", allowed, 0, (), faults)
    want = tree_hashes(jobs.work / "out")
    for threads in (1, 2):
        other = jobs.run(job, *bare, "quantizer.max_rtn_layers=14", "quantize.hessians=recompute",
                         f"device.threads={threads}")
        same = tree_hashes(jobs.work / "out") == want
        tally.check(f"recomputed, {threads} threads", other, 0, (), [] if same else ["other bytes"])
    tally.report()


def test(arguments, work):
    jobs = Jobs(arguments, work)
    good = jobs.model("good", "--layers", 2, "--dtype", "BF16", "--biases", "--tokens-file",
                      work / "tokens.i32", "--tokens", 500)
    extra = jobs.model("extra", "--layers", 2, "--family", "qwen3", "--head-dim", 32)
    test_nan(jobs, good, extra)
    test_half(jobs, good)
    test_big(jobs)
    test_tiny(jobs)
    test_rounding(jobs, good)


main(test)
