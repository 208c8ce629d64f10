#!/usr/bin/env python3
"""MPI-SIG, F05 to F07: signals to one rank, to all, twice, during a checkpoint, during the start."""
import os
import signal
import time
from pathlib import Path

from fault_lab import DONE, OWN_ARGUMENTS, TRY_AGAIN, Lab, die, ranks_of, seeded, wait_for

times = int(OWN_ARGUMENTS[0])
RANKS = 3
PLEASE_STOP = 1 << (signal.SIGUSR1 - 1)


def takes_signal(pid):
    """Whether the process has come so far that USR1 does not end it: it has a handler. (That it
    is blocked says nothing: the C library blocks all signals while it starts a thread, which
    OpenBLAS does before main.)"""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt") and int(line.split()[1], 16) & PLEASE_STOP:
                return True
    except OSError:
        pass
    return False


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def all_ranks(process):
    pids = ranks_of(process)
    return pids if len(pids) == RANKS and all(takes_signal(p) for p in pids) else None


def at_work(job, process, layers):
    wait_for(lambda: process.poll() is not None or sum(job.started().values()) >= layers, 60,
             f"{layers} layers")
    return ranks_of(process)


def signal_job(job, process, way, rng):
    """Sends what the way says; the seconds from the first signal on are the caller's."""
    if way == "start":
        send(wait_for(lambda: all_ranks(process), 30, "the ranks"), signal.SIGUSR1)
        return
    pids = at_work(job, process, rng.randrange(1, 20))
    if way == "one":
        send(pids[-1:], signal.SIGUSR1)
    elif way == "twice":
        send(pids, signal.SIGUSR1)
        send(pids, signal.SIGUSR1)
    elif way == "term":
        send(pids, signal.SIGTERM)
    elif way == "go on, then stop":
        send(pids[:1], signal.SIGUSR2)
        time.sleep(0.05)
        send(pids, signal.SIGUSR1)
    else:
        send(pids, signal.SIGUSR1)


WAYS = ["one", "all", "twice", "checkpoint", "start", "term", "go on, then stop"]
with Lab() as lab:
    plain = lab.job()
    plain.must_finish(RANKS)
    want = plain.sum()
    rng = seeded(4)
    slowest = 0.0
    for i in range(times):
        way = WAYS[i % len(WAYS)]
        every = 0 if way == "checkpoint" else 300
        job = lab.job(hessians="recompute" if i % 2 else "keep", every_s=every)
        # So long a layer on every rank that none has finished when the signal is on its way.
        process = job.start(RANKS, fault="point=layer_quantizing,count=1,action=sleep:0.5")
        signal_job(job, process, way, rng)
        begin = time.monotonic()
        code = process.wait(60)
        slowest = max(slowest, time.monotonic() - begin)
        log = (job.folder / "log.txt").read_text(errors="replace")
        if code != TRY_AGAIN:
            die(f"{way}: exit code {code}: {log}")
        if log.count("run the same command again") != 1:
            die(f"{way}: not told once: {log}")
        if i % 4 == 0:
            job.must_finish(1 + i % 4)
            if job.sum() != want:
                die(f"{way}: other bytes")
            if way != "term" and job.measured_again():
                die(f"{way}: layers measured again")
        job.remove()
    print(f"{times} of {times} signalled jobs of {RANKS} ranks ended with 75 and one message, "
          f"{slowest:.1f} s after the signal at most")

    job = lab.job()
    process = job.start(2)
    at_work(job, process, 2)
    send(ranks_of(process)[:1], signal.SIGUSR2)
    if process.wait(60) != DONE or job.sum() != want:
        die("USR2 disturbed the run")
    if not list((job.work / "hidden").glob("*/manifest.txt")):
        die("USR2 wrote no checkpoint")
    job = lab.job()
    code, text = job.run(2, "--max-time", "1.2",
                         fault="point=layer_started,count=2,action=sleep:0.8")
    if code != TRY_AGAIN or "time limit" not in text:
        die(f"--max-time: exit code {code}: {text}")
    job.must_finish(2)
    print("USR2 stores and goes on; --max-time ends with 75")
