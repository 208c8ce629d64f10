#!/usr/bin/env python3
"""CKPT-KILL: SIGKILL to all ranks at random moments, resumed each time; bytes as undisturbed."""
import time

from fault_lab import OWN_ARGUMENTS, Lab, die, kill_all, seeded

RANKS = 2
single_kills, repeated_runs, kills_of_each = (int(a) for a in OWN_ARGUMENTS)


def run_killed(job, times, rng, span):
    """Kills the job `times` times, begun again each time, then lets it end; the kills that hit."""
    hits = 0
    for _ in range(times):
        process = job.start(RANKS)
        time.sleep(rng.uniform(0.0, span))
        hits += process.poll() is None
        kill_all(process)
    job.must_finish(RANKS)
    return hits


def check(job, want, hits):
    if job.sum() != want:
        die(f"{job.folder}: other bytes after {hits} kills")
    if job.temporaries():
        die(f"{job.folder}: left behind: {job.temporaries()}")
    twice = job.measured_again()
    if twice > hits * RANKS:
        die(f"{job.folder}: {twice} layers measured again after {hits} kills")
    return twice


MODES = [dict(hessians="keep", every_s=0), dict(hessians="recompute", every_s=0),
         dict(hessians="recompute", every_s=300), dict(hessians="keep", every_s=300)]


def undisturbed(lab):
    """The bytes of a run that nobody kills, and how long it takes."""
    job = lab.job()
    begin = time.monotonic()
    job.must_finish(RANKS)
    return job.sum(), time.monotonic() - begin


rng = seeded(1)
with Lab() as lab:
    want, span = undisturbed(lab)
    hits = twice = 0
    for i in range(single_kills):
        job = lab.job(**MODES[i % len(MODES)])
        hit = run_killed(job, 1, rng, span)
        twice += check(job, want, hit)
        hits += hit
        job.remove()
    print(f"{single_kills} of {single_kills} runs killed once ({hits} while running) ended with "
          f"the same bytes; {twice} layers measured again, at most {hits * RANKS} allowed")

# So long a run that ten kills do not outlast it: each comes early in what is left.
with Lab(layers=16) as lab:
    want, span = undisturbed(lab)
    fewest = kills_of_each
    for i in range(repeated_runs):
        job = lab.job(**MODES[i % len(MODES)])
        hit = run_killed(job, kills_of_each, rng, span / 3)
        check(job, want, hit)
        fewest = min(fewest, hit)
        job.remove()
    print(f"{repeated_runs} of {repeated_runs} runs killed {kills_of_each} times each ({fewest} "
          f"while running at least) ended with the same bytes")
