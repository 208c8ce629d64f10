#!/usr/bin/env python3
"""report.html of a real run in headless Chromium: no network, no complaint, fits 400 px in both schemes, and what it
plots is what report.json says. Called as: TEST.py PROGRAM MAKE_MODEL [FOLDER for screenshots]."""
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from browser import Browser, find_chromium

PROGRAM, MAKE_MODEL = (Path(a).resolve() for a in sys.argv[1:3])
SHOTS = Path(sys.argv[3]).resolve() if len(sys.argv) > 3 else None
# What a name must not do: end the script element, become markup.
MODEL = "a<b>&</script><script>document.title='taken'</script>\"'"

JOB = """version: 1
model: {{path: '{model}'}}
calibration: {{tokens: tokens.i32, rows: 12, length: 64, slice_rows: 4}}
allocate: {{bpw: 4.3}}
output: {{dir: out}}
work: {{dir: work}}
"""


def die(text):
    print(f"FAILED: {text}", file=sys.stderr)
    sys.exit(1)


def check(condition, text):
    if not condition:
        die(text)


def plotted(browser, selector, *names):
    """The data attributes of all nodes of a selector, as numbers where they are."""
    script = (f"Array.from(document.querySelectorAll({json.dumps(selector)}), n => "
              f"{json.dumps(names)}.map(k => n.dataset[k]))")
    return [tuple(number(v) for v in row) for row in browser.evaluate(script)]


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def series(browser, holder, name):
    return plotted(browser, f"#{holder} circle[data-series={name}]", "x", "y")


def compare(what, got, want):
    check(got == want, f"{what}: the page has {str(got)[:300]}, report.json {str(want)[:300]}")
    return len(want)


def check_values(browser, report):
    output, evaluation = report["output"], report["evaluation"]
    # Few blocks are rows of the tables, many are their columns.
    count = compare("bits", sorted(plotted(browser, "#bits td[data-bits]", "layer", "bits", "err")),
                    sorted((layer["name"], layer["bpw"], layer["err"]) for layer in report["layers"]))
    count += compare("sensitivity",
                     sorted(plotted(browser, "#sensitivity td[data-sensitivity]", "layer", "sensitivity")),
                     sorted((layer["name"], layer["sensitivity"]) for layer in report["layers"]))
    count += compare("frontier", series(browser, "frontier", "frontier"),
                     [(p["bpw"], p["value"]) for p in report["frontier"]])
    count += compare("bound", series(browser, "frontier", "bound"),
                     [(p["bpw"], p["lower_bound"]) for p in report["frontier"] if p["lower_bound"] is not None])
    # Sums of errors have a place on the axis of the objective only where that is a sum of errors.
    is_sum = output["objective"] in ("sum", "minimax_sum")
    count += compare("uniform", series(browser, "frontier", "uniform"),
                     [(p["bpw"], p["sum_err"]) for p in report["uniform"] if is_sum])
    count += compare("chosen", series(browser, "frontier", "chosen"), [(output["bpw"], output["objective_value"])])
    points = report["points"]
    # A point alone makes no line: it is in the verdict.
    check(browser.evaluate("document.getElementById('quality').hidden") == (len(points) < 2), "lonely points are drawn")
    for holder, name, key in (("perplexity", "perplexity", "perplexity"), ("perplexity", "plain", "plain_perplexity"),
                              ("divergence", "kl", "kl_mean"), ("divergence", "kl_99", "kl_99")):
        count += compare(name, series(browser, holder, name),
                         [(p["bpw"], p[key]) for p in points if len(points) > 1])
    count += compare("along", series(browser, "along", "along"),
                     [(float(i), e) for i, e in enumerate(evaluation["block_errors"])])
    count += compare("linear layers", series(browser, "along", "linear"),
                     [(float(layer["block"]), layer["err"]) for layer in report["layers"]])
    count += compare("times", plotted(browser, "#times rect.bar", "stage", "rank", "busy"),
                     [(s["name"], float(r), b) for s in report["stages"] if s["seconds"] > 0
                      for r, b in enumerate(s["busy_s"])])
    return count


def check_verdict(browser, report):
    """The page begins with what the output is worth, against the unquantized model."""
    first = browser.evaluate("document.querySelector('main section h2').textContent")
    check(first == "Verdict", f"the page begins with {first}")
    text = browser.evaluate("document.getElementById('verdict').innerText")
    output, evaluation = report["output"], report["evaluation"]
    weights = report["model"]["all_parameters"]
    check(abs(output["folder_bpw"] - 8 * output["weight_bytes"] / weights) < 1e-9, "bits per weight of the folder")
    for figure in (f"{output['folder_bpw']:.3f}", f"{evaluation['perplexity']:.4f}", f"{evaluation['plain_perplexity']:.4f}",
                   f"{weights:,}", "of the unquantized model", "undecided", "0 is equal"):
        check(figure in text, f"the verdict lacks {figure}: {text}")


def check_names(browser):
    """A circle of a layer names it, and so does the line below when the pointer is on it."""
    faults = browser.evaluate("""Array.from(document.querySelectorAll('#along circle[data-series=linear]'))
      .filter(c => !/^model\\.layers\\.\\d+\\..*_proj: /.test(c.dataset.name)).length""")
    check(faults == 0, f"{faults} points do not name their layer")
    browser.evaluate("""document.querySelector('#along circle[data-series=linear]')
      .dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))""")
    named = browser.evaluate("document.getElementById('along-named').textContent")
    check(named.startswith("model.layers.0."), f"the pointed at layer is {named!r}")
    check(browser.evaluate("document.querySelectorAll('#along text.label').length") >= 1, "no layer is labelled")


def large(report):
    """A report as of 80 blocks, six sizes and stages of hours."""
    report = json.loads(json.dumps(report))
    blocks = report["model"]["blocks"]
    report["layers"] = [dict(layer, block=block, name=layer["name"].replace(f".{layer['block']}.", f".{block}."))
                        for block in range(80) for layer in report["layers"] if layer["block"] == block % blocks]
    point = report["points"][0]
    report["points"] = [dict(point, bpw=bits, perplexity=point["plain_perplexity"] + 1 / bits, kl_mean=1 / bits ** 3)
                        for bits in (2.5, 3, 3.5, 4, 5, 6)]
    for stage in report["stages"]:
        factor = 12 * 3600 / max(s["seconds"] for s in report["stages"])
        stage.update(seconds=stage["seconds"] * factor, busy_s=[b * factor for b in stage["busy_s"]])
    return report


def check_large(browser, page, report, width):
    text = page.read_text()
    begin = text.index(">", text.index('id="data"')) + 1
    end = text.index("</script>", begin)
    other = page.with_name("large.html")
    other.write_text(text[:begin] + json.dumps(report).replace("<", "\\u003c") + text[end:])
    browser.open(other.as_uri())
    check(browser.evaluate("document.documentElement.scrollWidth") <= width, f"80 blocks: wider than {width} px")
    height = browser.evaluate("document.getElementById('bits').getBoundingClientRect().height")
    check(height < 400, f"80 blocks take {height} px: more than is seen at once")
    check(browser.evaluate("document.querySelector('#bits table').getBoundingClientRect().right <= window.innerWidth"),
          "80 blocks: some are out of sight")
    clipped = browser.evaluate("""Array.from(document.querySelectorAll('svg[role=img]')).flatMap(svg => {
      const [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
      return Array.from(svg.querySelectorAll('text')).filter(t => { const b = t.getBBox();
        return b.x < -1 || b.y < -1 || b.x + b.width > width + 1 || b.y + b.height > height + 1; }).map(t => t.textContent);
    })""")
    check(not clipped, f"clipped labels at {width} px: {clipped}")
    check_values(browser, report)
    if SHOTS:
        browser.screenshot(SHOTS / f"report-large-{width}.png")


def check_places(browser, holder, name, log):
    """The points lie where their values put them: places are linear in x and in y or its logarithm."""
    script = (f"Array.from(document.querySelectorAll('#{holder} circle[data-series={name}]'), n => "
              "[+n.dataset.x, +n.getAttribute('cx'), +n.dataset.y, +n.getAttribute('cy')])")
    points = browser.evaluate(script)
    for value, place in ((0, 1), (2, 3)):
        scale = math.log if log and value == 2 else float
        rows = sorted((scale(p[value]), p[place]) for p in points)
        (a, at), (b, bt) = rows[0], rows[-1]
        check(b > a, f"{holder}: all points have one value")
        for v, p in rows:
            check(abs(at + (v - a) / (b - a) * (bt - at) - p) < 0.01, f"{holder}: {name}: a point is out of place")


def check_access(browser):
    """Pictures have names, tables captions and headers, every section a heading."""
    faults = browser.evaluate("""[
      ...Array.from(document.querySelectorAll('svg:not([aria-hidden])')).filter(s => s.getAttribute('role') !== 'img' ||
        !s.getAttribute('aria-labelledby').split(' ').every(id => document.getElementById(id)?.textContent))
        .map(s => 'picture without a name: ' + s.parentNode.id),
      ...Array.from(document.querySelectorAll('table')).filter(t => !t.caption?.textContent ||
        !t.querySelector('th[scope=col]') || !t.querySelector('th[scope=row]')).map(t => 'table: ' + t.parentNode.id),
      ...Array.from(document.querySelectorAll('section')).filter(s => !document.getElementById(
        s.getAttribute('aria-labelledby'))?.textContent).map(s => 'section without a heading')]""")
    check(not faults, f"access: {faults}")
    check(browser.evaluate("document.documentElement.lang") == "en", "no language")


def contrast_faults(browser):
    """Cells of the heat maps whose text is less than 4.5 to 1 from its ground."""
    return browser.evaluate("""(() => {
      const light = c => c.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const numbers = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
      return Array.from(document.querySelectorAll('table.heat td[data-layer]')).map(cell => {
        const style = getComputedStyle(cell);
        const [a, b] = [light(numbers(style.color)), light(numbers(style.backgroundColor))];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      }).filter(ratio => ratio < 4.5);
    })()""")


def run_job(folder):
    # A slash cannot be in the name of a folder.
    model = folder / MODEL.replace("/", "\u2215")
    subprocess.run([MAKE_MODEL, model, "--hidden", "128", "--heads", "4", "--kv-heads", "2", "--ffn", "192", "--layers",
                    "6", "--vocab", "300", "--tokens-file", folder / "tokens.i32", "--tokens", "2000"], check=True,
                   stdout=subprocess.DEVNULL)
    (folder / "job.yaml").write_text(JOB.format(model=str(model).replace("'", "''")))
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", PROGRAM, "run", folder / "job.yaml"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    check(done.returncode == 0, f"the run: {done.stderr}")
    return folder / "work"


def main():
    program = find_chromium()
    if not program:
        print("SKIPPED: no chromium here")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="report-") as name:
        work = run_job(Path(name))
        report = json.loads((work / "report.json").read_text())
        page = work / "report.html"
        with Browser(program) as browser:
            for width in (1280, 400):
                for scheme in ("light", "dark"):
                    browser.show(width, 900, scheme)
                    browser.open(page.as_uri())
                    check(browser.evaluate("document.documentElement.scrollWidth") <= width,
                          f"wider than {width} px: {browser.evaluate('document.documentElement.scrollWidth')}")
                    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
                    check((ground == "rgb(255, 255, 255)") == (scheme == "light"), f"{scheme}: the ground is {ground}")
                    check(not contrast_faults(browser), f"contrast: {contrast_faults(browser)}")
                    count = check_values(browser, report)
                    if SHOTS:
                        SHOTS.mkdir(parents=True, exist_ok=True)
                        browser.screenshot(SHOTS / f"report-{scheme}-{width}.png")
                check_large(browser, page, large(report), width)
                browser.open(page.as_uri())
            check_verdict(browser, report)
            check_names(browser)
            check_places(browser, "frontier", "frontier", log=True)
            check_places(browser, "along", "along", log=False)
            check_access(browser)
            title = browser.evaluate("document.title")
            check(title.startswith("a<b>&<") and "taken" in title and "bits per weight" in title, f"title: {title}")
            text = browser.evaluate("document.getElementById('settings').textContent")
            check(text == report["settings"], "the settings are not those of report.json")
            other = [url for url in browser.requests if not url.startswith(("file:", "data:"))]
            check(len(browser.requests) == 8 and not other, f"requests: {browser.requests}")
            check(not browser.complaints, f"complaints: {browser.complaints}")
        print(f"{count} plotted values are those of report.json; {len(browser.requests)} requests for 8 openings, none "
              "of a network; no complaint")


main()
