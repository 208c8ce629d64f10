#!/usr/bin/env python3
"""Jobs that are ended in the middle, side by side: by their time limit, by hand, by a lost rank."""
import subprocess

from fault_lab import Lab, die
from slurm_lab import log_of, must_complete, slow_layers, submit, wait_for_layers, wait_until_over

ONE_MINUTE = "--time=1"
# 28 layers on two ranks: more than fits into a minute; and long enough to be struck by hand.
LONG = dict(SHARDQUANT_FAULT=slow_layers(14, 5))
SHORT = dict(SHARDQUANT_FAULT=slow_layers(14, 1))
# Rank 1 is gone when it has measured five layers: after two restarts there are fewer left.
LOST = dict(SHARDQUANT_FAULT="point=layer_measured,rank=1,count=6,action=kill")
HOPELESS = dict(SHARDQUANT_FAULT="point=inputs_opened,rank=1,action=kill")


class Struck:
    """A job of the lab, submitted."""

    def __init__(self, lab, script, *options, **environment):
        self.job = lab.job()
        self.script = script
        self.number = submit(script, self.job, *options, **environment)

    def log(self):
        return log_of(self.job, self.number)

    def check(self, want, how, restarts, says="", or_more=False):
        """The job has ended well after so many restarts, whose log shows each and what struck it."""
        known = must_complete(self.job, self.number)
        log, found = self.log(), int(known["Restarts"])
        if found != restarts and not (or_more and found > restarts):
            die(f"{how}: {found} restarts, not {restarts}: {log}")
        for restart in range(1, found + 1):
            if log.count(f"=== restart {restart} of job {self.number} ===") != 1:
                die(f"{how}: the log shows no restart {restart}: {log}")
        if log.count(says) < restarts or "could not be put back" in log:
            die(f"{how}: the log does not say {says}: {log}")
        self.check_bytes(want, how)
        print(f"{how}: put back {found} time(s), restart {found} in the log, same bytes, "
              f"{self.measured_again()} layer(s) measured again", flush=True)

    def check_bytes(self, want, how):
        if self.job.sum() != want:
            die(f"{how}: other bytes: {self.log()}")

    def measured_again(self):
        return self.job.measured_again()


def check_cancelled(cancelled, want):
    """scancel, which must not put the job back; the same script again."""
    wait_for_layers(cancelled.job, cancelled.number, 4)
    subprocess.run(["scancel", cancelled.number], check=True)
    known = wait_until_over(cancelled.number, 60)
    if known["JobState"] != "CANCELLED" or known["Restarts"] != "0":
        die(f"scancel: {known} {cancelled.log()}")
    if cancelled.job.output.exists():
        die("scancel: the job had already ended")
    cancelled.number = submit(cancelled.script, cancelled.job)
    must_complete(cancelled.job, cancelled.number)
    cancelled.check_bytes(want, "scancel")
    if cancelled.measured_again() > 2:
        die(f"scancel: {cancelled.measured_again()} layers measured again")
    print("scancel, then the same script again: same bytes, "
          f"{cancelled.measured_again()} layer(s) measured again", flush=True)


def check_hopeless(hopeless):
    """A job that fails before it has done anything new is put back once, not for ever."""
    known = wait_until_over(hopeless.number, 120)
    if (known["JobState"], known["Restarts"]) != ("FAILED", "1"):
        die(f"hopeless: {known} {hopeless.log()}")
    print("a job that comes no further is put back once, then ends as failed")


with Lab(layers=4) as lab:
    plain = lab.job()
    plain.must_finish()
    want = plain.sum()

    # What the program sees itself in SLURM_JOB_END_TIME, with a signal that does nothing; and the
    # signal of the script, which Slurm may send half a minute early, without that.
    limit = Struck(lab, "quantize_one_node.sbatch", ONE_MINUTE, "--signal=B:URG@1", **LONG)
    signalled = Struck(lab, "quantize_one_node.sbatch", ONE_MINUTE, "--signal=B:USR1@10", **LONG,
                       SLURM_JOB_END_TIME="1")
    by_hand = Struck(lab, "quantize_one_node.sbatch", **SHORT)
    cancelled = Struck(lab, "quantize_one_node.sbatch", **SHORT)
    lost = Struck(lab, "requeue_until_done.sbatch", "--nodes=1", **LOST)
    hopeless = Struck(lab, "requeue_until_done.sbatch", "--nodes=1", **HOPELESS)

    wait_for_layers(by_hand.job, by_hand.number, 4)
    subprocess.run(["scontrol", "requeue", by_hand.number], check=True)
    check_cancelled(cancelled, want)
    by_hand.check(want, "scontrol requeue by hand", 1)
    lost.check(want, "a rank lost twice", 2, "exit code 137: back into the queue")
    check_hopeless(hopeless)
    limit.check(want, "time limit", 1, "(time limit)")
    signalled.check(want, "signal before the time limit", 1, "(SIGUSR1)", or_more=True)
