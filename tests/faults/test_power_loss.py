#!/usr/bin/env python3
"""F04: the power fails at random moments. What was not flushed is lost, and some of what was done
to names; the next run must end with the same bytes, and what a finished run wrote must be there."""
import time
from pathlib import Path

from fault_lab import OWN_ARGUMENTS, Lab, die, kill_all, seeded
from power_loss import PowerLoss

RANKS = 2
SHIM, losses = Path(OWN_ARGUMENTS[0]), int(OWN_ARGUMENTS[1])

MODES = [dict(hessians="keep", every_s=0), dict(hessians="recompute", every_s=0),
         dict(hessians="keep", every_s=300)]


def watched(lab, job):
    return PowerLoss(job.folder, lab.root / f"journal-{lab.jobs}", SHIM)


rng = seeded(4)
with Lab() as lab:
    plain = lab.job()
    plain.must_finish(RANKS)
    want = plain.sum()

    # Also how long a run takes under the shim.
    job = lab.job()
    power = watched(lab, job)
    begin = time.monotonic()
    job.must_finish(RANKS, **power.environment())
    span = time.monotonic() - begin
    power.strike(rng)
    if job.sum() != want:
        die(f"{job.folder}: a finished run's output did not survive")

    running = lost = 0
    for i in range(losses):
        job = lab.job(**MODES[i % len(MODES)])
        power = watched(lab, job)
        for _ in range(1 + i % 3):
            process = job.start(RANKS, **power.environment())
            time.sleep(rng.uniform(0.0, span))
            running += process.poll() is None
            kill_all(process)
            lost += power.strike(rng)
        job.must_finish(RANKS, **power.environment())
        power.strike(rng)
        if job.sum() != want:
            die(f"{job.folder}: other bytes after power losses")
        if job.temporaries():
            die(f"{job.folder}: left behind: {job.temporaries()}")
        job.remove()
print(f"{losses} of {losses} runs that lost power ({running} times while running, {lost} changes "
      f"lost) ended with the same bytes, which survived another loss")
