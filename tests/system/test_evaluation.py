#!/usr/bin/env python3
"""The evaluation at the end of a run and the model card: the same figures and bytes for 1, 2 and 3 ranks, those of
`eval --against`; a run that is killed in it goes on with the next batch; rows that calibration saw are not in it; it
can be left out; a card that was changed by hand is left alone. Called as: TEST.py PROGRAM MAKE_MODEL."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM, MAKE_MODEL = (Path(a).resolve() for a in sys.argv[1:3])
ROWS, LENGTH, EVALUATED = 12, 256, 64  # 4 batches of 16 rows

JOB = f"""version: 1
model: {{path: model}}
calibration: {{tokens: tokens.i32, rows: {ROWS}, length: {LENGTH}, slice_rows: 4}}
allocate: {{bpw: 3.5}}
evaluation: {{rows: {EVALUATED}}}
output: {{dir: out}}
work: {{dir: work}}
"""


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)


def command(ranks, *words):
    launcher = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)] if ranks else []
    return [str(w) for w in [*launcher, PROGRAM, *words]]


def run(ranks, folder, *settings, fault="", code=0):
    Path(folder).mkdir(exist_ok=True)
    settings = [f"output.dir={folder}/out", f"work.dir={folder}/work", *settings]
    words = [word for setting in settings for word in ("-s", setting)]
    done = subprocess.run(command(ranks, "run", "job.yaml", *words), stderr=subprocess.PIPE, text=True,
                          env=dict(os.environ, SHARDQUANT_FAULT=fault) if fault else None)
    check((done.returncode == 0) == (code == 0),
          f"{ranks} ranks, {settings}: exit code {done.returncode}: {done.stderr}")
    return done.stderr


def files_of(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(Path(folder).iterdir())}


def report_of(folder):
    return json.loads(Path(folder, "work/report.json").read_text())


def stop_in_evaluation(folder):
    """USR1 while one rank has stored its batches and the other is held up before its first."""
    Path(folder).mkdir()
    words = ["run", "job.yaml", "-s", f"output.dir={folder}/out", "-s", f"work.dir={folder}/work"]
    with open(f"{folder}/log", "w") as log:
        job = subprocess.Popen(command(2, *words), stderr=log, env=dict(
            os.environ, SHARDQUANT_FAULT="point=batch_evaluated,rank=1,count=1,action=sleep:4"))
    deadline = time.monotonic() + 60
    while not list(Path(folder, "work/evaluation").glob("*.h5")):
        check(job.poll() is None and time.monotonic() < deadline, Path(folder, "log").read_text())
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)  # mpirun passes it on to all ranks
    check(job.wait() == 75, f"exit code {job.returncode} for a stop: {Path(folder, 'log').read_text()}")
    check("stopped in stage evaluate" in Path(folder, "log").read_text(), "not told where it stopped")
    check(not Path(folder, "out/README.md").exists(), "a card before the end of the evaluation")


def main():
    subprocess.run([MAKE_MODEL, "model", "--hidden", "128", "--heads", "4", "--kv-heads", "2", "--ffn", "192",
                    "--layers", "3", "--vocab", "300", "--shards", "2", "--tokens-file", "tokens.i32", "--tokens",
                    str((ROWS + EVALUATED) * LENGTH)], check=True, stdout=subprocess.DEVNULL)
    Path("job.yaml").write_text(JOB)
    Path("model/README.md").write_text("the card of the source")
    run(0, "plain")
    want = files_of("plain/out")
    evaluation = report_of("plain")["evaluation"]
    for ranks in (1, 2, 3):
        run(ranks, f"on-{ranks}")
        check(files_of(f"on-{ranks}/out") == want, f"other bytes on {ranks} ranks")
        check(report_of(f"on-{ranks}")["evaluation"] == evaluation, f"other figures on {ranks} ranks")

    told = json.loads(subprocess.run(
        command(0, "eval", "plain/out", "--against", "model", "--tokens", "plain/work/validation_rows.i32", "--length",
                str(LENGTH), "--json"), check=True, stdout=subprocess.PIPE, text=True).stdout)
    for name in ("perplexity", "plain_perplexity", "kl_mean", "kl_99", "top1_agreement", "tokens", "rows"):
        check(abs(told[name] - evaluation[name]) <= 1e-7 * abs(evaluation[name]),
              f"{name}: {evaluation[name]}, eval says {told[name]}")
    check(len(evaluation["block_errors"]) == 3 and min(evaluation["block_errors"]) > 0, f"{evaluation['block_errors']}")

    # The rows are the next ones of the file, none of them a calibration row, and recorded.
    tokens, rows = Path("tokens.i32").read_bytes(), Path("plain/work/validation_rows.i32").read_bytes()
    size = 4 * LENGTH
    check(rows == tokens[ROWS * size:(ROWS + EVALUATED) * size], "the rows are not the next ones")
    sets = json.loads(Path("plain/work/calibration.json").read_text())["sets"]
    hashes = [set(sets[name]["row_xxh3_128"]) for name in ("calibration_rows", "validation_rows")]
    check((len(hashes[0]), len(hashes[1])) == (ROWS, EVALUATED) and not hashes[0] & hashes[1],
          "row sets are not disjoint")
    check(sets["validation_rows"]["xxh3_128"] == evaluation["rows_xxh3_128"], "the hash of the rows")

    card = Path("plain/out/README.md").read_text()
    check(f"{evaluation['perplexity']:.5f}" in card and f"{evaluation['kl_mean']:.6f}" in card, f"card: {card}")
    check(not re.search(r"20\d\d-\d\d|rank", card), f"the card tells when or on how many ranks: {card}")

    killed = 0
    if "batch_evaluated" in subprocess.run(command(0, "--list-fault-points"), stdout=subprocess.PIPE, text=True).stdout:
        for ranks, rank, count in ((0, 0, 3), (2, 1, 2)):
            folder = f"killed-{ranks}"
            run(ranks, folder, fault=f"point=batch_evaluated,rank={rank},count={count}", code=137)
            check(not Path(folder, "out/README.md").exists(), "a card before the evaluation")
            log = run(3 - ranks, folder)
            found = re.search(r"(\d) of 4 batches evaluated by an earlier run", log)
            check(found and 1 <= int(found[1]) <= 3, f"after the kill: {log}")
            check("output complete by an earlier run" in log, f"quantized again: {log}")
            check(files_of(f"{folder}/out") == want, "other bytes after a kill")
            check(report_of(folder)["evaluation"] == evaluation, "other figures after a kill")
            killed += 1
        stop_in_evaluation("stopped")
        check("4 of 4 batches evaluated by an earlier run" in run(1, "stopped"), "what a stopped run knew is lost")
        check(files_of("stopped/out") == want, "other bytes after a stop")

    # Again: nothing to do. Then a card that its owner changed.
    before = Path("plain/work/report.html").read_bytes()
    run(0, "plain")
    check(files_of("plain/out") == want, "a second run changed the output")
    check(Path("plain/work/report.html").read_bytes() == before, "a second run changed the report")
    Path("plain/out/README.md").write_text(card + "\nOurs.\n")
    check("left as it is" in run(0, "plain"), "nothing said of a changed card")
    check(Path("plain/out/README.md").read_text().endswith("Ours.\n"), "a changed card was written over")
    os.remove("plain/out/README.md")
    run(0, "plain")
    check(Path("plain/out/README.md").read_text() == card, "a lost card is not written again")

    log = run(0, "none", "evaluation.rows=0")
    check("left out, as asked" in log and report_of("none")["evaluation"] is None, f"evaluation.rows 0: {log}")
    check("were not taken" in Path("none/out/README.md").read_text(), "the card of a run without evaluation")
    weights = {name: value for name, value in want.items() if name != "README.md"}
    without = {name: value for name, value in files_of("none/out").items() if name != "README.md"}
    check(without == weights, "the evaluation changes weights")
    with open("tokens.i32", "r+b") as file:
        file.truncate(ROWS * size)
    log = run(0, "short")
    check("no rows are left" in log and report_of("short")["evaluation"] is None, f"no rows left: {log}")
    print(f"same figures and bytes on 0 (no launcher), 1, 2, 3 ranks and after {killed} kills; perplexity "
          f"{evaluation['perplexity']:.5f}, plain {evaluation['plain_perplexity']:.5f}, KL {evaluation['kl_mean']:.6g}")


home = tempfile.mkdtemp(prefix="evaluation-")
try:
    os.chdir(home)
    main()
finally:
    shutil.rmtree(home)
