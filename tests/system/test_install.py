#!/usr/bin/env python3
"""What `cmake --install` and CPack make of a build, used from where it lies: program, module, manual page, completions,
Slurm scripts, module file; the Debian package. Called as: TEST.py BUILD_DIR MAKE_MODEL CUDA, CUDA being the module's
architectures, or OFF."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD, MAKE_MODEL = (Path(a).resolve() for a in sys.argv[1:3])
CUDA = sys.argv[3]

JOB = """version: 1
model: {path: model}
calibration: {tokens: tokens.i32, rows: 4, length: 64, slice_rows: 2}
allocate: {bpw: 4.0}
output: {dir: out}
work: {dir: work}
"""
# The module file's commands, as Environment Modules have them, and what they set.
MODULE_COMMANDS = """
proc module-whatis {args} {}
proc conflict {args} {}
proc prepend-path {name value} { puts "$name=$value" }
proc setenv {name value} { puts "$name=$value" }
set ModulesCurrentModulefile %s
source %s
"""


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    check(done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def check_version(program, root):
    text = run(program, "--version")
    lines = dict(line.split(None, 1) for line in text.splitlines())
    check(re.match(r"\d+\.\d+\.\d+ \(commit [0-9a-f]{7,}", lines["shardquant"]), text)
    for library, word in (("MPI", "MPI"), ("BLAS", "OpenBLAS"), ("HDF5", "1.")):
        check(word in lines[library], text)
    if CUDA != "OFF":
        check(lines["CUDA"].startswith(str(root)), f"the module is not the installed one: {text}")
        for architecture in CUDA.split(","):
            check(architecture in lines["CUDA"], text)
    return text


def completions(script, *words):
    """What bash offers for the last of the words."""
    line = " ".join(f"'{word}'" for word in words)
    return run("bash", "-c", f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _shardquant; "
               "printf '%s\\n' \"${COMPREPLY[@]}\"").split()


def check_documents(prefix):
    manual = (prefix / "share/man/man1/shardquant.1").read_text()
    for part in (".SH NAME", ".SS sweep run", ".SS solve", "\\-\\-max\\-time", ".SH EXIT STATUS", "Examples:"):
        check(part in manual, f"the manual page lacks {part}")
    script = prefix / "share/bash-completion/completions/shardquant"
    check(completions(script, "shardquant", "sw") == ["sweep"], "bash: sweep")
    check(completions(script, "shardquant", "sweep", "r") == ["run"], "bash: sweep run")
    check(completions(script, "shardquant", "sweep", "run", "--max") == ["--max-time"], "bash: --max-time")
    check("--frontier" in completions(script, "shardquant", "solve", "--"), "bash: options in groups")
    check("#compdef shardquant" in (prefix / "share/zsh/site-functions/_shardquant").read_text(), "zsh")
    fish = (prefix / "share/fish/vendor_completions.d/shardquant.fish").read_text()
    check("-l max-time" in fish, "fish")
    for shell, file in (("zsh", "zsh/site-functions/_shardquant"),
                        ("fish", "fish/vendor_completions.d/shardquant.fish")):
        if shutil.which(shell):
            run(shell, "-n", prefix / "share" / file)
    scripts = sorted((prefix / "share/shardquant/slurm").glob("*.s*"))
    check(len(scripts) >= 6, f"Slurm scripts: {scripts}")
    for script in scripts:
        check(script.suffix != ".sh" or os.access(script, os.X_OK), f"{script.name} cannot be started")
    check((prefix / "share/shardquant/configs/demo/demo.yaml").is_file(), "the demo's job")


def check_module_file(prefix, home):
    folder = prefix / "share/shardquant/modulefiles/shardquant"
    (file,) = folder.iterdir()
    if not shutil.which("tclsh"):
        return "module file not tried: no tclsh"
    (home / "module.tcl").write_text(MODULE_COMMANDS % (file, file))
    found = dict(line.split("=", 1) for line in run("tclsh", home / "module.tcl").splitlines())
    check(Path(found["PATH"], "shardquant").is_file(), f"the module's PATH: {found}")
    check(Path(found["SHARDQUANT_SLURM"], "quantize_one_node.sbatch").is_file(), f"its Slurm scripts: {found}")
    return "module file finds both"


def check_job(program, home):
    run(MAKE_MODEL, home / "model", "--hidden", 64, "--heads", 4, "--kv-heads", 2, "--ffn", 96, "--layers", 1, "--vocab",
        128, "--tokens-file", home / "tokens.i32", "--tokens", 800)
    (home / "job.yaml").write_text(JOB)
    run(program, "run", home / "job.yaml", cwd="/")
    run(program, "verify", home / "out")


def check_package(home):
    if not shutil.which("dpkg-deb"):
        return "no package: no dpkg-deb"
    run("cpack", "--config", BUILD / "CPackConfig.cmake", "-G", "DEB", "-B", home / "package")
    (package,) = (home / "package").glob("*.deb")
    fields = run("dpkg-deb", "--field", package)
    for name in ("libopenmpi", "libhdf5", "openmpi-bin"):
        check(name in fields, f"{name} is no dependency: {fields}")
    run("dpkg-deb", "--extract", package, home / "root")
    check_version(home / "root/usr/bin/shardquant", home / "root")
    check((home / "root/usr/share/man/man1/shardquant.1").exists(), "the package has no manual page")
    return package.name


def main(home):
    run("cmake", "--install", BUILD, "--prefix", home / "first")
    prefix = home / "moved here"
    (home / "first").rename(prefix)
    text = check_version(prefix / "bin/shardquant", prefix)
    check_documents(link_to(prefix, home))
    module = check_module_file(link_to(prefix, home), home)
    check_job(prefix / "bin/shardquant", home)
    print(f"{text}installed, moved and run; {module}; {check_package(home)}")


def link_to(prefix, home):
    """A name without a blank, which shell scripts of the test do without quotes."""
    link = home / "prefix"
    if not link.exists():
        link.symlink_to(prefix)
    return link


folder = Path(tempfile.mkdtemp(prefix="install-"))
try:
    main(folder)
finally:
    shutil.rmtree(folder)
