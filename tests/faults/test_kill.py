#!/usr/bin/env python3
"""CKPT-KILL: SIGKILL to all ranks at random moments, resumed each time; bytes as undisturbed."""
import time

from fault_lab import DONE, OWN_ARGUMENTS, Lab, die, kill_all, seeded

RANKS = 2
single_kills, repeated_runs, kills_of_each = (int(a) for a in OWN_ARGUMENTS)


def layers_done_twice(job):
    return sum(count - 1 for count in job.started().values())


def run_killed(job, times, rng, span):
    """Starts the job `times` times and kills it each time, then lets it end; the kills that hit."""
    hits = 0
    for _ in range(times):
        process = job.start(RANKS)
        time.sleep(rng.uniform(0.0, span))
        if process.poll() is None:
            hits += 1
        kill_all(process)
    job.must_finish(RANKS)
    return hits


def check(job, want, hits):
    if job.sum() != want:
        die(f"{job.folder}: other bytes after {hits} kills")
    if job.temporaries():
        die(f"{job.folder}: left behind: {job.temporaries()}")
    twice = layers_done_twice(job)
    if twice > hits * RANKS:
        die(f"{job.folder}: {twice} layers measured again after {hits} kills")
    return twice


with Lab() as lab:
    modes = [dict(hessians="keep", every_s=0), dict(hessians="recompute", every_s=0),
             dict(hessians="recompute", every_s=300), dict(hessians="keep", every_s=300)]
    plain = lab.job()
    begin = time.monotonic()
    plain.must_finish(RANKS)
    span = time.monotonic() - begin
    want = plain.sum()
    rng = seeded(1)
    hits = twice = 0
    for i in range(single_kills):
        job = lab.job(**modes[i % len(modes)])
        hit = run_killed(job, 1, rng, span)
        twice += check(job, want, hit)
        hits += hit
        job.remove()
    print(f"{single_kills} of {single_kills} runs killed once ({hits} while running) ended with "
          f"the same bytes; {twice} layers measured again, at most {hits * RANKS} allowed")
    total = 0
    for i in range(repeated_runs):
        job = lab.job(**modes[i % len(modes)])
        hit = run_killed(job, kills_of_each, rng, span)
        check(job, want, hit)
        total += hit
        job.remove()
    print(f"{repeated_runs} of {repeated_runs} runs killed {kills_of_each} times each ({total} "
          f"while running) ended with the same bytes")
