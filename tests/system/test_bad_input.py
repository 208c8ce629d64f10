"""Malformed files end in the exit code of their kind, with one message that names the file, in less
than a second, with little memory, and with nothing written. Arguments: PROGRAM MAKE_MODEL SOURCE_DIR TIME_FACTOR."""

import json
import os
import re
import shutil
import struct
from pathlib import Path

from bad_input import (Jobs, Tally, header_bytes, main, read_safetensors, run, tree_hashes,
                       write_safetensors)

MB = 1 << 20


def tensor(dtype="F32", shape="[1]", offsets="[0,4]", name="t.w"):
    return f'{{"{name}":{{"dtype":{json.dumps(dtype)},"shape":{shape},"data_offsets":{offsets}}}}}'


def malformed_files():
    """(number, bytes of model.safetensors) of the cases that are one file of wrong content."""
    def h(text, buffer=0):
        text = text.encode() if isinstance(text, str) else text
        return header_bytes(text) + bytes(buffer)
    one = '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    scalar = '{"dtype":"F32","shape":[],"data_offsets":[%d,%d]}'
    attack = ",".join(f'"t{i}":{{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
                      for i in range(10))
    yield 1, b""
    yield 2, b"1234567"
    yield 3, bytes(8)
    yield 4, struct.pack("<Q", 16) + b"{}"
    yield 5, b"\xff" * 8 + b"{}"
    yield 6, struct.pack("<Q", 1 << 63) + b"{}"
    yield 8, h(b'{"\xff":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4)
    yield 9, h(r'{"\ud800":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4)
    yield 10, h(b"\xef\xbb\xbf{}")
    yield 11, h(" {}")
    yield 12, h("[]")
    yield 13, h("null")
    yield 14, h('{"a":{"dtype":"F32")')
    yield 15, h("{}x")
    yield 16, h('{"a":{"dtype":"F32","data_offsets":[0,0],"shape":' + "[" * 100_000)
    yield 17, h('{"a":%s,"a":%s}' % (scalar % (0, 4), scalar % (4, 8)), 8)
    yield 17, h('{"a":%s,"a":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}}' % (scalar % (0, 4)), 8)
    yield 18, h('{"a":{"dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4]}}', 4)
    yield 19, h('{"__metadata__":{},"__metadata__":{}}')
    yield 20, h('{"__metadata__":{"k":1}}')
    yield 21, h('{"__metadata__":%s}' % (scalar % (0, 4)), 4)
    yield 22, h(tensor("F17"), 2)
    yield 23, h(tensor("f32"), 4)
    for field in ("dtype", "shape", "data_offsets"):
        whole = json.loads(tensor())
        del whole["t.w"][field]
        yield 24, h(json.dumps(whole), 4)
    yield 25, h('{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', 4)
    yield 26, h(tensor(shape="[-1]"), 4)
    yield 27, h(tensor(shape="[2.0]", offsets="[0,8]"), 8)
    yield 27, h(tensor(shape="[2e0]", offsets="[0,8]"), 8)
    yield 28, h(tensor(shape="[18446744073709551617]"), 4)
    yield 29, h(tensor(shape="[4194305,4194305,211106198978564]"), 4)
    yield 30, h(tensor(shape="[4294967296,4294967296]", offsets="[0,0]"))
    yield 31, h(tensor("I32", "[2,9223372036854775807]"), 4)
    yield 32, h(tensor(offsets="[4,0]"), 4)
    yield 33, h(tensor(offsets="[4]"), 4)
    yield 33, h(tensor(offsets="[0,4,8]"), 4)
    yield 34, h('{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}}', 16)
    yield 35, h("{" + attack + "}", 16)
    yield 36, h(tensor(offsets="[4,8]"), 8)
    yield 37, h('{"a":%s,"b":%s}' % (scalar % (0, 4), scalar % (8, 12)), 12)
    yield 38, h(one, 16) + b"PK\x03\x04zip"
    yield 39, h(one, 14)
    yield 40, h('{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}}', 16)
    yield 42, h(tensor("U8", "[" + ",".join(["1"] * 65) + "]", "[0,1]"), 1)
    yield 43, h("{" + ",".join('"t%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i
                               for i in range(1_000_000)) + "}")
    for name in ("", "a\\u0000b", "a/b", "..", "n" * MB):
        yield 44, h(tensor("U8", "[1]", "[0,1]", name), 1)
    yield 45, b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9976576152\n"
    yield 46, b"<!DOCTYPE html>\n<html><head><title>403</title></head></html>\n"


def sound(tensors, extra_first=None):
    """The tensors, behind one that the model does not need where its name and bytes are given."""
    return {**(extra_first or {}), **tensors}


def test_malformed(jobs, good, factor):
    tally = Tally("ST-BAD", seconds=1.0 * factor, peak_mb=200 if factor == 1 else None)
    seen = set()
    job = jobs.job("model")
    shard = jobs.work / "model" / "model.safetensors"

    def refused(number, words=("model.safetensors",), code=65):
        seen.add(number)
        outcome = jobs.run(job)
        tally.check(number, outcome, code, words, jobs.leftovers())

    def accepted(number, words=()):
        seen.add(number)
        outcome = jobs.run(job)
        tally.check(number, outcome, 0, (), [f"{w!r} is not said" for w in words
                                             if w not in outcome.err + outcome.out])

    for number, content in malformed_files():
        jobs.copy(good, "model")
        shard.write_bytes(content)
        refused(number)

    jobs.copy(good, "model")
    shard.write_bytes(struct.pack("<Q", 100_000_001) + b"{")
    os.truncate(shard, 100_000_001 + 8)
    refused(7)
    tensors = read_safetensors(good / "model.safetensors")
    empty = {"x.rotary_emb.inv_freq": ("F32", [0], b"")}
    write_safetensors(shard, sound(tensors, empty))
    accepted(41)
    whole = (good / "model.safetensors").read_bytes()
    shard.write_bytes(whole[:len(whole) // 2])
    refused(47)
    test_shrinking(jobs, good, tally, seen)
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("model.safetensors", path),
                 lambda path: os.symlink("/dev/zero", path)):
        jobs.copy(good, "model")
        shard.unlink()
        make(shard)
        refused(49)

    test_folders(jobs, good, tensors, refused, accepted)
    jobs.copy(good, "model")
    odd = {"x.rotary_emb.inv_freq": ("U8", [1], b"x")}
    write_safetensors(shard, sound(tensors, odd))
    plain = jobs.run(jobs.job(good, "plain.yaml"))
    want = tree_hashes(jobs.work / "out").get("model.safetensors")
    accepted(54)
    if plain.code != 0 or tree_hashes(jobs.work / "out").get("model.safetensors") != want:
        Tally.failed = True
        print("FAILED: ST-BAD 54: another output than from even offsets")
    missing = sorted(set(range(1, 55)) - seen)
    print(f"ST-BAD: {len(seen)} of 54 numbers" + (f", without {missing}" if missing else ""))
    tally.report()


def test_shrinking(jobs, good, tally, seen):
    """48: the shard ends before its tensors while it is read. strace makes a read come back empty."""
    if not shutil.which("strace"):
        print("SKIPPED: ST-BAD 48, strace is not installed (the unit test has it)")
        return
    jobs.copy(good, "model")
    job = jobs.job("model")
    jobs.clean()
    log = jobs.work / "strace.txt"
    command = ["strace", "-f", "-y", "-qq", "-e", "trace=pread64", "-o", log]
    whole = run([*command, jobs.program, "run", job])
    reads = [line for line in log.read_text().splitlines() if "pread64" in line]
    shutil.rmtree(jobs.work / "out", ignore_errors=True)
    shutil.rmtree(jobs.work / "work", ignore_errors=True)
    if whole.code != 0:
        print("SKIPPED: ST-BAD 48, strace may not trace here (the unit test has it)")
        return
    # The header takes two reads; the third of that file is of a tensor.
    of_shard = [number for number, line in enumerate(reads, 1)
                if f"{jobs.work}/model/model.safetensors>" in line]
    number = of_shard[2]
    outcome = run([*command, "-e", f"inject=pread64:retval=0:when={number}+", jobs.program, "run",
                   job])
    outcome.cpu = 0.0  # most of it is of strace
    seen.add(48)
    tally.check(48, outcome, 65, ("model.safetensors", "too early"))


def index(mapping, total=1):
    return json.dumps({"metadata": {"total_size": total}, "weight_map": mapping})


def test_folders(jobs, good, tensors, refused, accepted):
    """50 to 53: two shards and their index."""
    names = list(tensors)
    first = {name: tensors[name] for name in names[:3]}
    second = {name: tensors[name] for name in names[3:]}
    total = sum(len(t[2]) for t in tensors.values())
    mapping = {**{n: "s1.safetensors" for n in first}, **{n: "s2.safetensors" for n in second}}
    model = jobs.work / "model"

    def put(one, two, names_of, size=total):
        jobs.copy(good, "model")
        (model / "model.safetensors").unlink()
        write_safetensors(model / "s1.safetensors", one)
        write_safetensors(model / "s2.safetensors", two)
        (model / "model.safetensors.index.json").write_text(index(names_of, size))

    put(first, {**second, names[0]: tensors[names[0]]}, mapping)
    refused(50, ("s2.safetensors", names[0]))
    put(first, second, {**mapping, "model.more": "s1.safetensors"})
    accepted(51)
    put(first, second, {n: s for n, s in mapping.items() if n != names[0]})
    refused(52, ("s1.safetensors", names[0]))
    put(first, second, mapping, total + 1)
    # A warning, which inspect prints.
    outcome = run([jobs.program, "inspect", model])
    if "total_size is wrong" not in outcome.out:
        Tally.failed = True
        print("FAILED: ST-BAD 53: no warning")
    accepted(53)
    put(first, second, mapping)
    (model / "s2.safetensors").unlink()
    refused(49, ("s2.safetensors",), code=66)


def opens_outside(log, outside):
    return [f"opened {line.strip()[:120]}" for line in log.read_text().splitlines()
            if str(outside) in line and "readlink" not in line]


def test_index_paths(jobs, good, factor):
    tally = Tally("PATH-IDX", seconds=1.0 * factor)
    model = jobs.work / "model"
    outside = jobs.work / "outside"
    outside.mkdir()
    shutil.copy(good / "model.safetensors", outside / "x.safetensors")
    names = list(read_safetensors(good / "model.safetensors"))
    traced = shutil.which("strace") is not None
    log = jobs.work / "opens.txt"

    def link(target):
        return lambda: os.symlink(target, model / "s.safetensors")

    def chain():
        os.symlink("t.safetensors", model / "s.safetensors")
        os.symlink("sub/../../outside/x.safetensors", model / "t.safetensors")

    cases = {"parent": ("../outside/x.safetensors", None),
             "absolute": (str(outside / "x.safetensors"), None),
             "through a folder": ("sub/../../outside/x.safetensors", None),
             "link out": ("s.safetensors", link("../outside/x.safetensors")),
             "link chain": ("s.safetensors", chain),
             "newline": ("x\n.safetensors", None),
             "4096 bytes": ("x" * 4084 + ".safetensors", None),
             "FIFO": ("s.safetensors", lambda: os.mkfifo(model / "s.safetensors"))}
    for case, (name, prepare) in cases.items():
        jobs.copy(good, "model")
        (model / "model.safetensors").unlink()
        (model / "sub").mkdir()
        if prepare:
            prepare()
        (model / "model.safetensors.index.json").write_text(index({n: name for n in names}))
        outcome = jobs.run(jobs.job("model"))
        faults = jobs.leftovers()
        if traced:
            run(["strace", "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", log, jobs.program,
                 "inspect", model])
            faults += opens_outside(log, "outside/")
        tally.check(case, outcome, 65, (str(model),), faults)
    tally.report(", 0 opens outside the folder" if traced
                 else "; SKIPPED: opens outside, strace is not installed")


def test_cache(jobs, good, factor):
    tally = Tally("PATH-CACHE")
    jobs.run(jobs.job(good, "plain.yaml"))
    want = tree_hashes(jobs.work / "out")
    want.pop("README.md")  # names the model by its folder
    hub = jobs.work / "hub" / "models--org--name"
    snapshot = hub / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (hub / "blobs").mkdir()
    for number, file in enumerate(sorted(good.iterdir())):
        shutil.copy(file, hub / "blobs" / f"{number:040x}")
        os.symlink(f"../../blobs/{number:040x}", snapshot / file.name)
    outcome = jobs.run(jobs.job(snapshot))
    got = tree_hashes(jobs.work / "out")
    got.pop("README.md", None)
    faults = [] if got == want else ["another output than from files"]
    card = jobs.work / "out" / "README.md"
    if not card.exists() or "org/name" not in card.read_text():
        faults.append("the card does not name org/name")
    tally.check("snapshot", outcome, 0, (), faults)
    os.symlink(snapshot, jobs.work / "alias")
    tally.check("link to the snapshot", jobs.run(jobs.job(jobs.work / "alias")), 0)
    tally.report()


def test_config(jobs, good, factor):
    tally = Tally("CFG-BOUNDS", seconds=1.0 * factor)
    model = jobs.copy(good, "model")
    config = json.loads((good / "config.json").read_text())
    config.update(sliding_window=32, pretraining_tp=1, pad_token_id=3, max_window_layers=1,
                  rope_scaling={"rope_type": "llama3", "factor": 8, "low_freq_factor": 1,
                                "high_freq_factor": 4, "original_max_position_embeddings": 8192})
    integers = [(k,) for k, v in config.items() if type(v) is int]
    integers += [("rope_scaling", "original_max_position_embeddings")]
    # These mean something: no token, the first token, from the first layer on.
    meant = {(k, v) for k in ("bos_token_id", "eos_token_id", "pad_token_id") for v in (-1, 0)}
    meant.add(("max_window_layers", 0))
    tokens_used = 0
    (model / "config.json").write_text(json.dumps(config))
    job = jobs.job("model")
    tally.check("unchanged", jobs.run(job), 0)
    for path in integers:
        for value in (-1, 0, 1 << 31, 1 << 63, 1e308, "x"):
            changed = json.loads(json.dumps(config))
            place = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = value
            (model / "config.json").write_text(json.dumps(changed))
            outcome = jobs.run(job, data_limit=None if factor != 1 else 1 << 30)
            if (path[-1], value) in meant:
                tokens_used += 1
                tally.check(f"{path[-1]} = {value}", outcome, 0)
            else:
                tally.check(f"{path[-1]} = {value}", outcome, 65, ("config.json", path[-1]),
                            jobs.leftovers())
    tally.report(f"; {tokens_used} of them have a meaning and are accepted")


def yaml_cases(text, reference):
    """(name, text of the job file)."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]\n" for i in range(1, 10))
    yield "depth", "model: " + "[" * 100_000
    yield "depth in maps", "model: " + "{a: " * 100_000
    yield "alias bomb", bomb
    yield "cycle", "version: 1\nmodel: &m {path: *m}\n"
    yield "NUL", text.replace("path: ", "path: \0")
    yield "UTF-16", text.encode("utf-16")
    yield "tab", text + "x:\n\ty: 1\n"
    yield "empty", ""
    yield "two documents", text + "---\nversion: 1\n"
    yield "merge key", text + "<<: {version: 1}\n"
    yield "tag", text.replace("rows: 4", "rows: !!int 4")
    yield "code tag", text.replace("rows: 4", "rows: !!python/object/apply:os.system [ls]")
    for name, value in {"octal": "010", "octal 1.2": "0o10", "hexadecimal": "0x10",
                        "sexagesimal": "1:30", "nan": ".nan", "inf": ".inf", "minus inf": "-.inf",
                        "underscore": "1_0", "NaN": "NaN"}.items():
        yield name, text.replace("rows: 4", "rows: " + value)
        yield name + " for a real", text.replace("bpw: 4.0", "bpw: " + value)
    sections = re.findall(r"^(\w+): \{(\w+)", text, re.M)
    yield "duplicate at the top", text + "version: 1\n"
    yield "unknown at the top", text + "versoin: 1\n"
    for section, key in sections:
        line = re.search(rf"^{section}: \{{(.*)\}}$", text, re.M).group(1)
        value = re.search(rf"\b{key}: ([^,]+)", line).group(1)
        yield f"duplicate section {section}", text + f"{section}: {{{line}}}\n"
        yield f"duplicate in {section}", text.replace(f"{section}: {{",
                                                      f"{section}: {{{key}: {value}, ")
        yield f"unknown in {section}", text.replace(f"{section}: {{", f"{section}: {{{key}x: 1, ")
    yield from setting_cases(text, reference)


def with_setting(text, path, value):
    """The job with one setting replaced or added."""
    if "." not in path:
        return re.sub(rf"^{path}: .*$", f"{path}: {value}", text, flags=re.M)
    section, key = path.split(".")
    if not re.search(rf"^{section}: ", text, re.M):
        return text + f"{section}: {{{key}: {value}}}\n"
    line = re.search(rf"^{section}: \{{.*\}}$", text, re.M).group(0)
    if re.search(rf"\b{key}: ", line):
        changed = re.sub(rf"\b{key}: [^,}}]+", lambda _: f"{key}: {value}", line)
    else:
        changed = line.replace("{", f"{{{key}: {value}, ", 1)
    return text.replace(line, changed)


def setting_cases(text, reference):
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| ", reference, re.M)
    assert len(rows) > 20
    for path, takes in rows:
        of_texts = takes == "a list of texts"  # a word stands for a list of one
        for name, value in {"map": "{a: 1}", "list": "[1]", "nothing": "~"}.items():
            if not (of_texts and name == "list"):
                yield f"{path}: a {name}", with_setting(text, path, value)
        if of_texts and path in ("allocate.pin", "allocate.floor", "allocate.ceiling"):
            yield f"{path}: no value", with_setting(text, path, "[layer]")
        if takes == "a path" or of_texts:
            continue
        longest = re.match(r"a text of at most (\d+) bytes", takes)
        if longest:
            too_long = "x" * (int(longest[1]) + 1)
            yield f"{path}: too long", with_setting(text, path, too_long)
            continue
        yield f"{path}: quoted or a word", with_setting(text, path, "'1'")
        yield f"{path}: true", with_setting(text, path, "true")
        numbers = re.search(r"from (\S+) to (\S+)", takes)
        if not numbers:
            yield f"{path}: none of the words", with_setting(text, path, "frobnicate")
            continue
        for bound, step in zip(numbers.groups(), (-1, 1)):
            beyond = float(bound) * (1 + 1e-6 * step) if "number" in takes else int(bound) + step
            if beyond == float(bound):
                beyond = -1e-9
            yield f"{path}: {beyond}", with_setting(text, path, f"{beyond:.15g}")
        yield f"{path}: 2^63", with_setting(text, path, str(1 << 63))
        yield f"{path}: 1e400", with_setting(text, path, "1e400")


def test_yaml(jobs, good, factor, reference):
    tally = Tally("YAML-BAD", seconds=1.0 * factor, peak_mb=100 if factor == 1 else None)
    text = jobs.job(good).read_text()
    assert jobs.run(jobs.job(good)).code == 0
    jobs.clean()
    path = jobs.work / "bad.yaml"
    path.write_text(text + "# ")
    os.truncate(path, 100 * MB)
    check_yaml(jobs, tally, "100 MB", path)
    for name, content in yaml_cases(text, reference):
        assert content != text, name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        check_yaml(jobs, tally, name, path)
    tally.report()


def check_yaml(jobs, tally, name, path):
    outcome = jobs.run(path, clean=False)
    place = re.search(r"bad\.yaml:[0-9]+:[0-9]+: [^:]+: .", outcome.err)
    tally.check(name, outcome, 78, (), jobs.leftovers() + ([] if place else ["no line and path"]))


def test_tokens(jobs, good, factor):
    tally = Tally("tokens", seconds=1.0 * factor)
    stream = (jobs.work / "tokens.i32").read_bytes()
    outside = bytearray(stream)
    outside[400:404] = struct.pack("<i", 128)
    negative = bytearray(stream)
    negative[400:404] = struct.pack("<i", -1)
    def ids(dtype, shape, data):
        return header_bytes({"input_ids": {"dtype": dtype, "shape": shape,
                                           "data_offsets": [0, len(data)]}}) + data
    cases = {"odd length": ("t.i32", stream[:-1]), "empty": ("t.i32", b""),
             "too few rows": ("t.i32", stream[:3 * 64 * 4]),
             "beyond the vocabulary": ("t.i32", bytes(outside)),
             "negative": ("t.i32", bytes(negative)),
             "rank 1": ("t.safetensors", ids("I32", [256], stream[:1024])),
             "floating": ("t.safetensors", ids("F32", [4, 64], stream[:1024])),
             "rows too short": ("t.safetensors", ids("I32", [8, 32], stream[:1024])),
             "other tensor": ("t.safetensors", header_bytes({"ids": {
                 "dtype": "I32", "shape": [4, 64], "data_offsets": [0, 1024]}}) + stream[:1024]),
             "web page": ("t.safetensors", b"<html></html>")}
    for case, (name, content) in cases.items():
        (jobs.work / name).write_bytes(content)
        outcome = jobs.run(jobs.job(good, tokens=name))
        tally.check(case, outcome, 65, (name,))
    tally.check("missing", jobs.run(jobs.job(good, tokens="nowhere.i32")), 66, ("nowhere.i32",))
    tally.report()


def test_json_files(jobs, good, factor):
    """measurement.json and plan.json that others may send."""
    tally = Tally("measurement and plan", seconds=1.0 * factor)
    jobs.run(jobs.job(good))
    path = jobs.work / "given.json"
    for name in ("measurement.json", "plan.json"):
        text = (jobs.work / "out" / name).read_bytes()
        document = json.loads(text)
        cases = {f"cut at {n}": text[:n] for n in (0, 1, 8, len(text) // 2, len(text) - 3)}
        cases["zeros"] = bytes(len(text))
        cases["deep"] = b"[" * 100_000
        for key in document:
            for value in (None, "x", -1, [], {}, True):
                if key in ("measurement", "last_module_idx", "base_perplexity", "choices", "layers",
                           "shardquant_plan", "recipes", "objective_value", "total_bits"):
                    # A plan made from a measurement of 2024 has no recipes.
                    if (key, value) not in (("measurement", None), ("recipes", {})):
                        cases[f"{key} = {value}"] = json.dumps({**document, key: value}).encode()
        cases["given twice"] = text.replace(b"{", b'{"measurement": [], "choices": {}, ', 1)
        cases["NaN"] = re.sub(rb'"err": [0-9.e-]+', b'"err": NaN', text, count=1)
        cases["error of 1.5"] = re.sub(rb'"err": [0-9.e-]+', b'"err": 1.5', text, count=1)
        for case, content in cases.items():
            if case.endswith("= -1") and case.startswith("objective"):
                continue  # a sum of logarithms may be that
            path.write_bytes(content)
            tally.check(f"{name} {case}", run([jobs.program, "inspect", path]), 65, ("given.json",))
    tally.report()


def test_state_files(jobs, good, factor):
    """Damaged state is set aside and done again: the same output, or a refusal that names it."""
    tally = Tally("state files")
    job = jobs.job(good)
    jobs.run(job)
    want = tree_hashes(jobs.work / "out")
    kept = jobs.work / "kept"
    shutil.copytree(jobs.work / "work", kept)
    files = ["measurements/model.layers.0.self_attn.o_proj.h5", "hessians/model.layers.0.down_in.h5",
             "quantized/model.layers.0.mlp.up_proj.h5", "measurements/calibration.h5"]
    for name in files:
        size = (kept / name).stat().st_size
        def cut(length):
            return lambda path: os.truncate(path, length)
        def flip(place):
            def change(path):
                data = bytearray(path.read_bytes())
                data[place] ^= 1
                path.write_bytes(data)
            return change
        def folder(path):
            path.unlink()
            path.mkdir()
        cases = {f"cut at {n}": cut(n) for n in (0, 1, 8, size // 2, size - 1)}
        cases["zeros"] = lambda path: path.write_bytes(bytes(size))
        if name.startswith(("measurements/model", "hessians")):
            cases["a folder"] = folder
        cases.update({f"bit at {n}": flip(n) for n in (0, 9, size // 3, size - 40, size - 1)})
        for case, damage in cases.items():
            jobs.clean()
            shutil.copytree(kept, jobs.work / "work")
            damage(jobs.work / "work" / name)
            outcome = jobs.run(job, clean=False)
            if outcome.code == 0:
                same = tree_hashes(jobs.work / "out") == want
                tally.check(f"{name} {case}", outcome, 0, (), [] if same else ["another output"])
            else:
                tally.check(f"{name} {case}", outcome, 65, (name,))
    tally.report()


def test(arguments, work):
    jobs = Jobs(arguments, work)
    factor = float(arguments[4])
    good = jobs.model("good", "--tokens-file", work / "tokens.i32", "--tokens", 500)
    reference = (Path(arguments[3]) / "configs" / "settings_reference.md").read_text()
    test_malformed(jobs, good, factor)
    test_index_paths(jobs, good, factor)
    test_cache(jobs, good, factor)
    test_config(jobs, good, factor)
    test_yaml(jobs, good, factor, reference)
    test_tokens(jobs, good, factor)
    test_json_files(jobs, good, factor)
    test_state_files(jobs, good, factor)


main(test)
