#!/usr/bin/env python3
"""F01 to F03: SIGKILL inside every step of the commit protocol and at every other fault point."""
import subprocess

from fault_lab import OWN_ARGUMENTS, PROGRAM, Lab, die

RANKS = 2
counts = [int(a) for a in OWN_ARGUMENTS]

points = subprocess.run([PROGRAM, "--list-fault-points"], check=True, capture_output=True,
                        text=True).stdout.split()
with Lab(layers=2) as lab:
    plain = lab.job()
    plain.must_finish(RANKS)
    want = plain.sum()
    done = 0
    struck = []
    for point in points:
        for count in counts:
            for rank in range(RANKS):
                mode = "keep" if (done + rank) % 2 else "recompute"
                job = lab.job(hessians=mode, every_s=0)
                code, text = job.run(RANKS, fault=f"point={point},rank={rank},count={count}")
                struck += [point] if code != 0 else []
                if code not in (0, 137):
                    die(f"{point} {count} on rank {rank}: exit code {code}: {text}")
                job.must_finish(RANKS)
                if job.sum() != want:
                    die(f"{point} {count} on rank {rank}: other bytes")
                if job.temporaries():
                    die(f"{point} {count} on rank {rank}: left behind: {job.temporaries()}")
                job.remove()
                done += 1
    if set(points) - set(struck):
        die(f"never struck: {set(points) - set(struck)}")
    print(f"{done} of {done} runs, {len(struck)} of them killed at one of {len(points)} fault points, "
          f"ended with the same bytes")
