#!/usr/bin/env python3
"""MPI-KILL1, MPI-STOP1, MPI-SINGLETON, MPI-EXC: a rank that dies, stops, fails or stands alone."""
import os
import subprocess
import time

from fault_lab import (DONE, INTERNAL, OWN_ARGUMENTS, UNAVAILABLE, Lab, die, kill_all, seeded)

kills, exceptions = (int(a) for a in OWN_ARGUMENTS)
RANKS = 4
# One in every phase: start, forward pass, measuring, checkpoint, quantizing, writing.
PHASES = ["inputs_opened", "work_opened", "slice_forwarded", "block_forwarded", "layer_started",
          "layer_measured", "state_created", "state_sealed", "layer_quantizing", "layer_written"]


def kill_one(lab, want, rng):
    slowest = 0.0
    for i in range(kills):
        point = PHASES[i % len(PHASES)]
        rank = rng.randrange(RANKS)
        job = lab.job(hessians="recompute" if i % 2 else "keep", every_s=0)
        begin = time.monotonic()
        code, text = job.run(RANKS, fault=f"point={point},rank={rank},action=kill")
        # The kill comes within the run's own second or two: all of it counts.
        seconds = time.monotonic() - begin
        slowest = max(slowest, seconds)
        if code == DONE:
            die(f"{point}: no rank {rank} was killed")
        if seconds > 10.0:
            die(f"{point} on rank {rank}: the job took {seconds:.1f} s to end")
        job.must_finish(2)
        if job.sum() != want:
            die(f"{point} on rank {rank}: other bytes on 2 ranks")
        job.remove()
    print(f"{kills} of {kills} jobs of {RANKS} ranks ended after one was killed, the longest took "
          f"{slowest:.1f} s from its start; gone on with on 2 ranks to the same bytes")


def stop_one(lab, want, rng):
    timeout = 4
    for rank in range(RANKS):
        job = lab.job()
        process = job.start(RANKS, "--collective-timeout", str(timeout),
                            fault=f"point=layer_started,rank={rank},count=2,action=stop")
        begin = time.monotonic()
        code = process.wait(60)
        seconds = time.monotonic() - begin
        text = (job.folder / "log.txt").read_text(errors="replace")
        kill_all(process)
        if code != UNAVAILABLE or f"rank {rank} (" not in text:
            die(f"rank {rank} stopped: exit code {code}: {text}")
        if text.count("error: rank") != 1:
            die(f"rank {rank} stopped: told more than once: {text}")
        if seconds > timeout + 15:
            die(f"rank {rank} stopped: the job took {seconds:.1f} s to end")
        job.must_finish(3)
        if job.sum() != want:
            die(f"rank {rank} stopped: other bytes")
        job.remove()
        print(f"rank {rank} stopped: named, job ended {seconds:.1f} s after its start at a timeout "
              f"of {timeout} s")
    # A slow rank is no stopped one.
    job = lab.job()
    job.must_finish(2, "--collective-timeout", "4",
                    fault="point=layer_started,rank=1,count=3,action=sleep:2.5")
    job.remove()


def stand_alone(lab):
    job = lab.job()
    environment = dict(os.environ, SLURM_NTASKS="4", SLURM_STEP_NUM_TASKS="4")
    begin = time.monotonic()
    result = subprocess.run(job.command(0), capture_output=True, text=True, env=environment)
    seconds = time.monotonic() - begin
    if result.returncode != UNAVAILABLE or "--mpi=pmix" not in result.stderr or seconds > 2.0:
        die(f"alone of 4 tasks: exit code {result.returncode} after {seconds:.1f} s: "
            f"{result.stderr}")
    if job.work.exists() or job.output.exists():
        die("alone of 4 tasks: something was written")
    print(f"alone of 4 tasks: 69 after {seconds:.2f} s")


def throw_in_one(lab, want, rng):
    slowest = 0.0
    for i in range(exceptions):
        point = PHASES[i % len(PHASES)]
        ranks = 2 + i % 3
        rank = rng.randrange(ranks)
        job = lab.job(every_s=0)
        begin = time.monotonic()
        code, text = job.run(ranks, fault=f"point={point},rank={rank},action=throw")
        slowest = max(slowest, time.monotonic() - begin)
        if code != INTERNAL or text.count("shardquant: error:") != 1:
            die(f"{point} on rank {rank} of {ranks}: exit code {code}: {text}")
        if i % 5 == 0:
            job.must_finish(2)
            if job.sum() != want:
                die(f"{point} on rank {rank} of {ranks}: other bytes")
        job.remove()
    print(f"{exceptions} of {exceptions} faults in one rank ended all with 70 and one message, the "
          f"longest {slowest:.1f} s after its start")


with Lab() as lab:
    plain = lab.job()
    plain.must_finish(RANKS)
    want = plain.sum()
    rng = seeded(3)
    stand_alone(lab)
    stop_one(lab, want, rng)
    throw_in_one(lab, want, rng)
    kill_one(lab, want, rng)
