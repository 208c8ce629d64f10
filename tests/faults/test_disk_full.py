#!/usr/bin/env python3
"""H5-ENOSPC and IO-ENOSPC: a full disk at every size and at every call; other errors of disks."""
import errno
import subprocess
from concurrent.futures import ThreadPoolExecutor

from fault_lab import DONE, IO_ERROR, OWN_ARGUMENTS, SHIM, Lab, die

percents = range(1, 121, int(OWN_ARGUMENTS[0]))
call_step = int(OWN_ARGUMENTS[1])


def bytes_in(folder):
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())


def check_left(job, what):
    for path in job.temporaries():
        # Partial shards hold finished layers; they are state.
        if not path.name.endswith(".partial") and path.stat().st_size > 0:
            die(f"{what}: {path} left with {path.stat().st_size} bytes")
    shards = [p for p in job.output.glob("*.safetensors")] if job.output.exists() else []
    for shard in shards:
        if len(shard.read_bytes()) < 8:
            die(f"{what}: {shard} is not whole")


def fill_disks(lab, want, need):
    """A file system of every size; gone on with on one that is large enough."""
    full = fits = 0
    disk = lab.root / "disk"
    disk.mkdir()
    for percent in percents:
        size = max(4096, need * percent // 100)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk],
                                 capture_output=True)
        if mounted.returncode != 0:
            print("SKIPPED: disks of every size: no permission to mount one")
            return
        try:
            mode = "keep" if percent % 2 else "recompute"
            job = lab.job(disk / "job", hessians=mode, every_s=0) if try_job(disk) else None
            if job is None:
                full += 1
                continue
            code, text = job.run(0)
            what = f"{percent} % of the space"
            if code == IO_ERROR:
                full += 1
            elif code == DONE:
                fits += 1
            else:
                die(f"{what}: exit code {code}: {text}")
            if code and text.count("error:") != 1:
                die(f"{what}: not one error: {text}")
            check_left(job, what)
            subprocess.run(["mount", "-o", f"remount,size={4 * need}", disk], check=True)
            job.must_finish(0)
            if job.sum() != want:
                die(f"{what}: other bytes after going on")
        finally:
            subprocess.run(["umount", disk], check=True)
    print(f"{full + fits} of {len(percents)} sizes of disk: {full} full (74, nothing lost), "
          f"{fits} large enough; all gone on with to the same bytes")


def try_job(disk):
    """Whether the job file itself finds room."""
    try:
        (disk / "probe").write_bytes(bytes(2048))
        (disk / "probe").unlink()
        return True
    except OSError:
        return False


def shim(job, count, number, once):
    return dict(LD_PRELOAD=str(SHIM), IO_FAULT_UNDER=str(job.folder), IO_FAULT_COUNT=str(count),
                IO_FAULT_ERRNO=str(number), IO_FAULT_ONCE=str(int(once)))


def count_calls(lab, **settings):
    job = lab.job(**settings)
    total = lab.root / "total"
    job.must_finish(0, IO_FAULT_TOTAL=str(total), **shim(job, 0, 0, False))
    job.remove()
    return int(total.read_text())


def fail_call(lab, want, settings, count, number, once):
    """Whether the run ended for it; one whose heartbeat alone was hit goes on."""
    job = lab.job(**settings)
    what = f"call {count} with {errno.errorcode.get(number, 'a short write')}"
    code, text = job.run(0, **shim(job, count, number, once))
    if code == DONE:
        if job.sum() != want:
            die(f"{what}: other bytes")
        job.remove()
        return False
    if code != IO_ERROR:
        die(f"{what}: exit code {code}: {text}")
    check_left(job, what)
    job.must_finish(0)
    if job.sum() != want:
        die(f"{what}: other bytes after going on")
    job.remove()
    return True


def fail_calls(lab, want):
    settings = dict(hessians="recompute", every_s=0)
    total = count_calls(lab, **settings)
    counts = range(1, total + 1, call_step)
    with ThreadPoolExecutor(2) as pool:
        struck = list(pool.map(lambda n: fail_call(lab, want, settings, n, errno.ENOSPC, False),
                               counts))
        print(f"ENOSPC from each of {len(counts)} of {total} calls on: {sum(struck)} ended with 74 "
              f"and were gone on with, {len(counts) - sum(struck)} needed nothing of it")
        for number in (errno.EIO, errno.EDQUOT, errno.ESTALE):
            some = range(1 + number % 7, total + 1, 7 * call_step)
            struck = list(pool.map(lambda n: fail_call(lab, want, settings, n, number, True),
                                   some))
            print(f"{errno.errorcode[number]} once at each of {len(some)} calls: {sum(struck)} "
                  f"ended with 74 and were gone on with")
        for number in (errno.EINTR, 0):
            some = range(1 + number % 3, total + 1, 5 * call_step)
            struck = list(pool.map(lambda n: fail_call(lab, want, settings, n, number, True),
                                   some))
            name = "EINTR" if number else "a short write"
            if any(struck):
                die(f"{name} ended {sum(struck)} of {len(some)} runs")
            print(f"{name} at each of {len(some)} calls: none ended a run")


def without_locks(lab, want):
    job = lab.job()
    job.must_finish(0, LD_PRELOAD=str(SHIM), IO_FAULT_UNDER=str(job.folder), IO_FAULT_LOCKS="1")
    if job.sum() != want:
        die("other bytes on a file system without locks")
    print("a file system without locks: same bytes")


with Lab(layers=2) as lab:
    plain = lab.job()
    plain.must_finish(0)
    want = plain.sum()
    big = lab.job(hessians="keep", every_s=0)
    big.must_finish(0)
    need = bytes_in(big.folder)
    fill_disks(lab, want, need)
    fail_calls(lab, want)
    without_locks(lab, want)
