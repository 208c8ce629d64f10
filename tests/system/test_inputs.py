#!/usr/bin/env python3
"""What goes in is understood: `eval --text` scores every token of a text, by file too; a text that begins with BOS gets
no second one; JSON lists, JSON lines and chat messages are what they are whatever their names; tables are refused with
the command that helps; a token beyond the vocabulary leaves nothing behind; rows beyond the model's positions are warned
of. Called as: TEST.py PROGRAM SHARED_DATA."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM, SHARED = (Path(a).resolve() for a in sys.argv[1:3])
MODEL, TEXT = SHARED / "models/stories260K-pad192-sharded", SHARED / "data/text/tiny.utf8"
SEPARATOR = "<|endoftext|>"


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)


def run(*words, code=0):
    done = subprocess.run([str(w) for w in (PROGRAM, *words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(done.returncode == code, f"{words}: exit code {done.returncode}, expected {code}: {done.stderr}")
    return done


def evaluate(*words):
    done = run("eval", MODEL, *words, "--json")
    return json.loads(done.stdout), done.stderr


def test_eval():
    whole = Path("whole.txt")
    whole.write_text(TEXT.read_text().replace(SEPARATOR, "\n"))
    ids = run("tokenize", MODEL, whole, "--out", "whole.i32").stdout
    tokens = Path("whole.i32").stat().st_size // 4
    check("1 documents" in ids, ids)
    told, _ = evaluate("--text", whole)
    rows = -(-tokens // 512)
    check((told["rows"], told["length"]) == (rows, 512), f"{told} of {tokens} tokens")
    check(told["tokens"] == tokens - rows, f"{told['tokens']} of {tokens} tokens are predicted in {rows} rows")
    check(0.001 < told["standard_error"] / told["perplexity"] < 0.1, f"{told}")
    first, _ = evaluate("--text", whole, "--rows", 1)
    check(first["rows"] == 1 and first["standard_error"] is None, f"{first}")
    print(f"a text of {whole.stat().st_size} bytes: {rows} rows, perplexity {told['perplexity']:.5f} +/- "
          f"{told['standard_error']:.5f}; its first row alone {first['perplexity']:.5f}")

    stories = TEXT.read_text().split(SEPARATOR)
    Path("texts").mkdir()
    Path("texts/a.txt").write_text(SEPARATOR.join(stories[:20]))
    Path("texts/b.txt").write_text(SEPARATOR.join(stories[20:60]))
    both, _ = evaluate("--text", "texts", "--against", MODEL)
    parts = both["sources"]
    check([Path(p["file"]).name for p in parts] == ["a.txt", "b.txt"], f"{both}")
    check(sum(p["tokens"] for p in parts) == both["tokens"], f"{both}")
    check(sum(p["rows"] for p in parts) == both["rows"], f"{both}")
    check(all(p["kl_mean"] == 0 for p in parts), f"{both}")
    alone, _ = evaluate("--text", "texts/b.txt")
    check(abs(alone["perplexity"] - parts[1]["perplexity"]) < 1e-6, f"{alone} is {parts[1]} in a folder")
    plain = run("eval", MODEL, "--text", "texts").stdout
    check("+/-" in plain and f"tokens of {both['rows']} rows" in plain and "texts/b.txt: perplexity" in plain, plain)


def test_bos():
    stories = [s.strip() for s in TEXT.read_text().split(SEPARATOR)[:40]]
    Path("plain.txt").write_text(SEPARATOR.join(stories))
    Path("written.txt").write_text(SEPARATOR.join("<s>" + s for s in stories))
    plain, _ = evaluate("--text", "plain.txt")
    written, _ = evaluate("--text", "written.txt")
    check(plain == written, f"BOS written out: {written}, else {plain}")
    none, _ = evaluate("--text", "plain.txt", "--bos", "none")
    check(none["perplexity"] > plain["perplexity"] and none["tokens"] == plain["tokens"] - 40, f"{none}, {plain}")
    model = shutil.copytree(MODEL, "no-bos")
    config = json.loads(Path(model, "tokenizer_config.json").read_text())
    Path(model, "tokenizer_config.json").write_text(json.dumps({**config, "add_bos_token": False}))
    off = json.loads(run("eval", model, "--text", "plain.txt", "--json").stdout)
    check(off == none, f"add_bos_token false: {off}, --bos none: {none}")
    print(f"BOS once {plain['perplexity']:.5f}, nowhere {none['perplexity']:.5f}")


def test_contents():
    stories = [s.strip() for s in TEXT.read_text().split(SEPARATOR)[:40]]
    Path("list.json").write_text(json.dumps([{"id": i, "text": s} for i, s in enumerate(stories)], indent=1))
    Path("lines.txt").write_text("".join(json.dumps({"text": s}) + "\n" for s in stories))
    run("tokenize", MODEL, "plain.txt", "--out", "plain.i32")
    want = Path("plain.i32").read_bytes()
    for name, kind in (("list.json", "a JSON list"), ("lines.txt", "JSON lines")):
        done = run("tokenize", MODEL, name, "--out", f"{name}.i32")
        check(f"{name} taken for {kind}" in done.stderr, done.stderr)
        check(Path(f"{name}.i32").read_bytes() == want, f"{name}: other ids")
    Path("table").write_bytes(b"PAR1\x15\x04")
    error = run("eval", MODEL, "--text", "table", code=65).stderr
    check("a Parquet table" in error and "pandas.read_parquet('table')" in error, error)

    chats = "".join(json.dumps({"messages": [{"role": "user", "content": s}, {"role": "assistant", "content": "The end."}]})
                    + "\n" for s in stories[:5])
    Path("chats.jsonl").write_text(chats)
    error = run("tokenize", MODEL, "chats.jsonl", code=65).stderr
    check("chats.jsonl: line 1: messages" in error and "chat_template" in error, error)
    model = shutil.copytree(MODEL, "chat")
    Path(model, "chat_template.jinja").write_text(
        "{{ bos_token }}{% for m in messages %}{{ m.role | upper }}: {{ m.content | trim }}\n{% endfor %}")
    ids = run("tokenize", model, "chats.jsonl", "--out", "chats.i32").stdout
    check("5 documents" in ids, ids)
    Path("by-hand.txt").write_text(SEPARATOR.join(f"<s>USER: {s}\nASSISTANT: The end.\n" for s in stories[:5]))
    # The white space at the end of a text document is left out, that of a chat is not.
    first = json.loads(run("eval", model, "--text", "chats.jsonl", "--json").stdout)
    by_hand = json.loads(run("eval", model, "--text", "by-hand.txt", "--json").stdout)
    check(abs(first["tokens"] - by_hand["tokens"]) <= 10, f"{first}, by hand {by_hand}")

    job = f"""version: 1
model: {{path: {model}}}
calibration: {{sources: [{{path: plain.txt, weight: 3}}, {{path: chats.jsonl, weight: 1}}], rows: 8, length: 128, slice_rows: 4}}
output: {{dir: out}}
work: {{dir: work}}
"""
    Path("job.yaml").write_text(job)
    log = run("measure", "job.yaml").stderr
    check("plain.txt: taken for text;" in log and "chats.jsonl: taken for JSON lines with chat messages" in log, log)
    sources = json.loads(Path("work/calibration.json").read_text())["sources"]
    check([s["rows"] for s in sources][:2] >= [6, 2], f"{sources}")


def test_vocabulary():
    model = shutil.copytree(MODEL, "small")
    tokenizer = json.loads(Path(model, "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({"id": 600, "content": "<|im_start|>", "special": True})
    Path(model, "tokenizer.json").write_text(json.dumps(tokenizer))
    stories = [s.strip() for s in TEXT.read_text().split(SEPARATOR)[:40]]
    Path("odd.txt").write_text(SEPARATOR.join([*stories[:3], "<|im_start|>" + stories[3], *stories[4:]]))
    Path("odd.yaml").write_text(f"""version: 1
model: {{path: {model}}}
calibration: {{text: odd.txt, rows: 8, length: 128, slice_rows: 4}}
output: {{dir: out}}
work: {{dir: odd}}
""")
    error = run("measure", "odd.yaml", code=65).stderr
    check('odd.txt: document 4: token 600 ("<|im_start|>") is outside the model\'s vocabulary of 512' in error, error)
    check(not Path("odd/calibration_rows.i32").exists(), "rows were left")
    error = run("eval", model, "--text", "odd.txt", code=65).stderr
    check("odd.txt: document 4: token 600" in error, error)
    Path("odd.txt").write_text(SEPARATOR.join(stories))
    run("measure", "odd.yaml")


def test_positions():
    model, tokens = SHARED / "models/stories3M", SHARED / "data/tokens/tinystories_tok512.i32"
    done = run("eval", model, "--tokens", tokens, "--length", 2000, "--rows", 2)
    check("warning: rows of 2000 tokens, but the model was made for 512 positions" in done.stderr, done.stderr)
    done = run("eval", model, "--tokens", tokens, "--length", 512, "--rows", 2)
    check("warning" not in done.stderr, done.stderr)
    log = run("measure", "odd.yaml", "-s", "calibration.length=600", "-s", "calibration.rows=2", "-s", "work.dir=long").stderr
    check("warning: rows of 600 tokens, but the model was made for 512 positions" in log, log)


home = tempfile.mkdtemp(prefix="inputs-")
try:
    if not MODEL.is_dir() or not TEXT.is_file():
        print(f"SKIPPED: shared data absent: {MODEL}")
        sys.exit(77)
    os.chdir(home)
    for test in (test_eval, test_bos, test_contents, test_vocabulary, test_positions):
        test()
        print(f"{test.__name__}: passed", flush=True)
finally:
    shutil.rmtree(home)
