#!/usr/bin/env python3
"""A sweep from one measurement: bytes of plain runs, measured once, restartable, points side by side.

Arguments: PROGRAM MAKE_MODEL SHIM SHARED_DATA, as the fault tests.
"""
import csv
import json
import os
import signal
import subprocess

from fault_lab import (BAD_DATA, CANNOT_CREATE, CONFIG, NO_INPUT, PROGRAM, TRY_AGAIN, Lab, die,
                       sum_of, sum_of_point, wait_for)

BITS = ["3.5", "4.5", "6"]


def check(condition, what):
    if not condition:
        die(what)


def sweep_job(lab, sweep, **settings):
    job = lab.job(**settings)
    with open(job.file, "a") as file:
        file.write(f"sweep: {sweep}\n")
    return job


def command(job, words, ranks=0, fault="", **settings):
    """Exit code, output and narration of the program on a job file."""
    line = [str(PROGRAM), *words.split(), str(job.file)]
    for name, value in settings.items():
        line += [f"--{name.replace('_', '-')}", str(value)]
    if ranks > 0:
        line = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)] + line
    done = subprocess.run(line, env=job.environment(fault), capture_output=True, text=True,
                          timeout=120)
    return done.returncode, done.stdout, done.stderr


def must(job, words, **how):
    code, out, err = command(job, words, **how)
    check(code == 0, f"{words}: exit code {code}: {err}")
    return out, err


def plain_sums(lab):
    sums = {}
    for bits in BITS:
        job = lab.job(bpw=bits)
        job.must_finish(1)
        sums[bits] = job.sum()
    return sums


def check_points(job, sums, how):
    for bits, want in sums.items():
        check(sum_of_point(job.output / f"bpw-{bits}") == want, f"{how}: {bits} bits: other bytes than a plain run")
    check(set(job.started().values()) == {1}, f"{how}: measured more than once: {job.started()}")


def check_summary(job, done):
    points = json.loads((job.output / "sweep.json").read_text())["points"]
    with open(job.output / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    check([p["done"] for p in points] == done, f"done: {points}")
    check([row["done"] for row in rows] == ["true" if d else "false" for d in done], f"done: {rows}")
    for point, row in zip(points, rows):
        if not point["done"]:
            continue
        folder = job.output / point["name"]
        size = sum(p.stat().st_size for p in folder.glob("*.safetensors"))
        check(point["weight_bytes"] == size == int(row["weight_bytes"]), f"size: {point} {size}")
        plan = json.loads((folder / "plan.json").read_text())
        check(point["objective"] == plan["objective"], f"objective: {point} {plan['objective']}")
        check(float(row["bpw"]) == point["bpw"] <= float(point["values"]["bpw"]), f"bits: {point}")
        check(point["lower_bound"] <= point["objective_value"], f"bound: {point}")
        check(point["perplexity"] > 1 and point["kl_mean"] > 0, f"figures: {point}")
    return points


def test_whole(lab, sums):
    job = sweep_job(lab, f"{{bpw: [{', '.join(BITS)}]}}")
    out, _ = must(job, "sweep list")
    check("   0  not done  bpw-3.5  " in out and "3 points, 1 measurement(s)" in out, f"list: {out}")
    out, err = must(job, "sweep run", ranks=2)
    check_points(job, sums, "two ranks")
    points = check_summary(job, [True] * 3)
    check((job.output / "sweep.txt").read_text() == out, f"the table is not printed: {out}")
    check("point bpw-4.5: number 1, 2 of 3" in err, f"the points are not told of: {err}")
    # Each is a run of its own, with what it was and a report that shows all.
    for point in points:
        work = job.work / "points" / point["name"]
        resolved = (work / "resolved.yaml").read_text()
        check(f"measured_in: \"{job.work}\"" in resolved, f"resolved: {resolved}")
        report = json.loads((work / "report.json").read_text())
        check(report["settings"] == resolved, "the report has other settings")
        check([p["bpw"] for p in report["points"]] == [p["bpw"] for p in points], f"points: {report['points']}")
        check(json.dumps(report["points"][2]["perplexity"]) in (work / "report.html").read_text(), "the page")
    before = job.started()
    _, err = must(job, "sweep run", ranks=1)
    check(job.started() == before and err.count("output complete by an earlier run") == 3, f"done again: {err}")
    out, _ = must(job, "sweep list")
    check("   2  done      bpw-6  " in out, f"list: {out}")
    print(f"a sweep of {len(BITS)} points on two ranks: bytes of plain runs, every layer measured once")
    return job


def test_killed(lab, sums):
    """Killed in the measurement, in a point, and while the summary is due; then run to its end."""
    job = sweep_job(lab, f"{{bpw: [{', '.join(BITS)}]}}")
    for fault in ("point=layer_measured,count=4,action=kill", "point=layer_written,count=9,action=kill",
                  "point=batch_evaluated,count=1,action=kill", "point=text_written,count=9,action=kill"):
        code, _, err = command(job, "sweep run", fault=fault)
        check(code != 0, f"{fault}: not killed: {err}")
    must(job, "sweep run", ranks=3)
    for bits, want in sums.items():
        check(sum_of_point(job.output / f"bpw-{bits}") == want, f"killed: {bits} bits: other bytes")
    check(job.measured_again() <= 1, f"measured again: {job.started()}")
    check_summary(job, [True] * 3)
    left = [p for p in job.folder.rglob("*.tmp.*")] + [p for p in job.folder.rglob("*.partial")]
    check(not [p for p in left if not p.name.startswith("sweep.")], f"left behind: {left}")
    for path in left:
        os.utime(path, (0, 0))
    must(job, "sweep summary")
    check(not list(job.output.glob("*.tmp.*")), "old temporaries of the summary stay")
    print(f"killed four times ({len(left)} temporary file(s) of the summary left and removed): same bytes, at most one layer measured again, nothing left behind")


def test_points(lab, sums):
    """Points by number after a measure job, two of them at the same time."""
    job = sweep_job(lab, f"{{bpw: [{', '.join(BITS)}]}}")
    must(job, "measure", ranks=2)
    shared = sum_of(job.work)
    running = [subprocess.Popen([str(PROGRAM), "sweep", "run", str(job.file), "--point", str(p)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                env=job.environment("point=layer_quantizing,count=1,action=sleep:1"))
               for p in (0, 2)]
    for process in running:
        _, err = process.communicate(timeout=60)
        check(process.returncode == 0, f"side by side: exit code {process.returncode}: {err}")
    check_summary(job, [True, False, True])
    must(job, "sweep run", point=1)
    check_points(job, sums, "by number")
    must(job, "sweep summary")
    points = check_summary(job, [True] * 3)
    for point in points:
        report = json.loads((job.work / "points" / point["name"] / "report.json").read_text())
        check(len(report["points"]) == 3, f"{point['name']}: a report without the others")
    # What is shared was not written.
    for path in (job.work / "points", ):
        subprocess.run(["rm", "-r", str(path)], check=True)
    check(sum_of(job.work) == shared, "a point wrote into the measurement's folder")
    code, _, err = command(job, "sweep run", point=3)
    check(code == 64 and "points 0 to 2" in err, f"no such point: {code} {err}")
    print("points by number, two at the same time: bytes of plain runs, the measurement only read")


def test_point_alone(lab, sums):
    """A point whose measurement is missing measures first; a second job meanwhile is refused."""
    job = sweep_job(lab, f"{{bpw: [{', '.join(BITS)}]}}")
    first = subprocess.Popen([str(PROGRAM), "sweep", "run", str(job.file), "--point", "1"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                             env=job.environment("point=layer_measured,count=2,action=sleep:3"))
    wait_for(lambda: sum(job.started().values()) >= 2, 30, "the first job to measure")
    code, _, err = command(job, "sweep run", point=0)
    check(code == CANNOT_CREATE, f"while another measures: {code} {err}")
    _, err = first.communicate(timeout=60)
    check(first.returncode == 0, f"the first: {first.returncode} {err}")
    must(job, "sweep run", point=0)
    must(job, "sweep run", point=2)
    check_points(job, sums, "without a measure job")
    print("a point without a measurement measures first, and once")


def test_damping(lab):
    """Other damping is another measurement, from the same Hessians."""
    job = sweep_job(lab, "{damping: [0.05, 0.2], bpw: [4, 5]}", hessians="keep")
    must(job, "sweep run", ranks=2)
    hessians = [p.parent.parent.name for p in job.work.rglob("*.h5") if p.parent.name == "hessians"]
    check(set(hessians) == {"damping-0.05"}, f"Hessians in {set(hessians)}")
    log = (job.work / "measured" / "damping-0.2" / "events.jsonl").read_text()
    check("layer_measured" in log, "nothing measured with the other damping")
    for damping in ("0.05", "0.2"):
        for bits in ("4", "5"):
            plain = lab.job(bpw=bits, hessians="recompute")
            plain.must_finish(1, "-s", f"quantizer.damping={damping}")
            made = sum_of_point(job.output / f"damping-{damping}_bpw-{bits}")
            check(made == plain.sum(), f"damping {damping}, {bits} bits: other bytes than a plain run")
    print("four points of two dampings: two measurements from one set of Hessians, bytes of plain runs")


def test_text(lab):
    """Rows from sources and Hessians that are not kept: all that a point needs is with the measurement."""
    job = sweep_job(lab, "{bpw: [4, 5]}", hessians="recompute")
    text = job.file.read_text().replace(f"tokens: {lab.tokens},", f"sources: [{{path: {lab.tokens}, kind: tokens}}],")
    job.file.write_text(text)
    must(job, "sweep run", ranks=2)
    for bits in ("4", "5"):
        plain = lab.job(bpw=bits, hessians="keep")
        plain.file.write_text(plain.file.read_text().replace(
            f"tokens: {lab.tokens},", f"sources: [{{path: {lab.tokens}, kind: tokens}}],"))
        plain.must_finish(1)
        check(sum_of_point(job.output / f"bpw-{bits}") == plain.sum(), f"sources, {bits} bits: other bytes")
    # What the rows were made of is known from the job that made them.
    job.file.write_text(text.replace("rows: 12,", "rows: 12, seed: 7,"))
    code, _, err = command(job, "sweep run", point=1)
    check(code == BAD_DATA and "calibration.seed: 7 in this job, 0 in that one" in err, f"other rows: {code} {err}")
    print("rows from sources, Hessians computed again: bytes of plain runs")


def test_stopped(lab, sums):
    """A point that has to compute Hessians again, stopped in it: nothing is put into what it borrows."""
    job = sweep_job(lab, f"{{bpw: [{', '.join(BITS)}]}}", hessians="recompute", every_s=0)
    must(job, "measure")
    shared = sum_of(job.work)
    process = subprocess.Popen([str(PROGRAM), "sweep", "run", str(job.file), "--point", "1"], text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=job.environment("point=layer_quantizing,count=3,action=sleep:2"))
    wait_for(lambda: sum(job.started("layer_quantizing").values()) >= 3, 30, "a point to quantize")
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=60)
    check(process.returncode == TRY_AGAIN and "point bpw-4.5: stopped" in err, f"stopped: {process.returncode} {err}")
    kept = job.folder / "points"
    (job.work / "points").rename(kept)
    check(sum_of(job.work) == shared, "a stopped point wrote into the measurement's folder")
    kept.rename(job.work / "points")
    must(job, "sweep run", point=1, ranks=3)
    check(sum_of_point(job.output / "bpw-4.5") == sums["4.5"], "other bytes after a stop")
    print("a point stopped while it computes Hessians again: the measurement untouched, same bytes")


def test_rows(lab):
    """Points with other rows are evaluated on others, and the table says so."""
    job = sweep_job(lab, "{rows: [8, 12]}", bpw="4")
    out, _ = must(job, "sweep run")
    check("note: evaluated on different rows" in out, f"rows: {out}")
    check(len(list((job.work / "measured").iterdir())) == 2, "not two measurements")
    print("a sweep of rows: two measurements, and a note that their figures differ in rows")


def test_refusals(lab, whole):
    code, _, err = command(whole, "run")
    check(code == CONFIG and "sweep run" in err, f"run on a sweep: {code} {err}")
    # The point that cannot be met is named; those before it are done.
    job = sweep_job(lab, "{bpw: [4, 1.2, 5]}")
    code, _, err = command(job, "sweep run", ranks=2)
    check(code == CONFIG and err.count("error:") == 1 and "point bpw-1.2:" in err, f"too few bits: {code} {err}")
    check_summary(job, [True, False, False])
    # Another measurement than the one that is borrowed, one that is not complete, or damaged.
    other = lab.job(bpw="4")
    code, err = other.run(0, "-s", f"work.measured_in={whole.work}", "-s", "quantizer.damping=0.2")
    check(code == BAD_DATA and "quantizer.damping" in err, f"another damping: {code} {err}")
    code, err = other.run(0, "-s", f"work.measured_in={lab.root / 'absent'}")
    check(code == NO_INPUT and "absent" in err, f"no measurement: {code} {err}")
    record = sorted((whole.work / "measurements").glob("model*.h5"))[0]
    content = bytearray(record.read_bytes())
    content[len(content) // 2] ^= 1
    record.write_bytes(content)
    code, err = other.run(0, "-s", f"work.measured_in={whole.work}")
    check(code == NO_INPUT and "of 28 layers" in err and record.read_bytes() == content, f"damaged: {code} {err}")
    must(whole, "measure")
    other.must_finish(0, "-s", f"work.measured_in={whole.work}")
    print("refused: run on a sweep, too few bits, a measurement that is another's, missing or damaged")


with Lab(layers=4) as lab:
    sums = plain_sums(lab)
    whole = test_whole(lab, sums)
    test_killed(lab, sums)
    test_points(lab, sums)
    test_point_alone(lab, sums)
    test_damping(lab)
    test_text(lab)
    test_stopped(lab, sums)
    test_rows(lab)
    test_refusals(lab, whole)
