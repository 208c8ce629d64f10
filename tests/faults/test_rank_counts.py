#!/usr/bin/env python3
"""CKPT-RANKS: stopped by SIGUSR1 on some number of ranks, gone on with on another."""
import os
import signal

from fault_lab import DONE, OWN_ARGUMENTS, TRY_AGAIN, Lab, die, ranks_of, wait_for

counts = [int(a) for a in OWN_ARGUMENTS]
with Lab() as lab:
    plain = lab.job()
    plain.must_finish(0)
    want = plain.sum()
    stopped = 0
    pairs = [(a, b) for a in counts for b in counts]
    for i, (first, second) in enumerate(pairs):
        job = lab.job(hessians="recompute" if i % 2 else "keep")
        after = 2 + i % 20
        process = job.start(first)
        wait_for(lambda: process.poll() is not None or sum(job.started().values()) >= after, 60,
                 "the first layers")
        for pid in ranks_of(process):
            try:
                os.kill(pid, signal.SIGUSR1)
            except ProcessLookupError:
                pass
        code = process.wait(60)
        if code not in (DONE, TRY_AGAIN):
            die(f"stopped on {first} ranks: exit code {code}\n" +
                (job.folder / "log.txt").read_text())
        stopped += code == TRY_AGAIN
        job.must_finish(second)
        if job.sum() != want:
            die(f"other bytes: stopped on {first} ranks, gone on with on {second}")
        twice = job.measured_again()
        if code == TRY_AGAIN and twice:
            die(f"{twice} layers measured again after an orderly stop")
        job.remove()
    print(f"{len(pairs)} of {len(pairs)} pairs of {counts} ranks gave the same bytes, "
          f"{stopped} of them stopped on the way")
