"""The Python environment with the libraries that read this program's formats."""
import importlib.util
import os
import sys
from pathlib import Path


def skip(reason):
    print(f"SKIPPED: {reason} (scripts/install_engines.sh)")
    sys.exit(77)


def enter(folder, *modules):
    """Goes on in the environment `folder`, or the one that SHARDQUANT_ENGINES names; ends the test as skipped where
    it or one of the modules is missing."""
    folder = Path(os.environ.get("SHARDQUANT_ENGINES", folder)).resolve()
    python = folder / "bin" / "python"
    if Path(sys.prefix).resolve() != folder:
        if not python.exists():
            skip(f"no environment in {folder}")
        os.execv(python, [str(python), "-B", *sys.argv])
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        skip(f"{folder} lacks {', '.join(missing)}")


def check(condition, text):
    if not condition:
        print(f"FAILED: {text}", file=sys.stderr)
        sys.exit(1)
