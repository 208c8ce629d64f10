"""What a folder may look like after the power has failed.

A file system promises no more than this: a file's bytes are those of its last flush (fsync), or
later ones; a name is there once its folder was flushed after it was made. Of what was done to a
folder's names since its last flush a beginning may have survived, of any length.
"""
import os
import shutil
from pathlib import Path


class PowerLoss:
    """Watches a folder through tests/support/power_loss_shim.c."""

    def __init__(self, folder, journal, shim):
        self.folder, self.journal, self.shim = Path(folder), Path(journal), Path(shim)
        self.begin()

    def begin(self):
        """What is in the folder now is on the disk."""
        shutil.rmtree(self.journal, ignore_errors=True)
        shutil.copytree(self.folder, self.journal / "before")

    def environment(self):
        return dict(LD_PRELOAD=str(self.shim), POWER_LOSS_UNDER=str(self.folder),
                    POWER_LOSS_JOURNAL=str(self.journal))

    def strike(self, rng):
        """Leaves in the folder what may have survived, chosen by `rng`; begins again from there.
        How many changes of names and contents of files were lost."""
        names, lost = self._surviving_names(rng)
        after = self.journal / "after"
        after.mkdir()
        for path in sorted(names):  # folders come before what is in them
            target = after / path.relative_to(self.folder)
            if not target.parent.is_dir():
                continue  # in a folder that did not survive
            if names[path] is FOLDER:
                target.mkdir()
            else:
                content, whole = names[path].survivor(rng)
                lost += not whole
                target.write_bytes(content)
        shutil.rmtree(self.folder)
        shutil.move(after, self.folder)
        self.begin()
        return lost

    def _surviving_names(self, rng):
        now, kept, pending = {}, {}, {}
        for path in (self.journal / "before").rglob("*"):
            here = self.folder / path.relative_to(self.journal / "before")
            now[here] = FOLDER if path.is_dir() else File(path, here)
        kept.update(now)
        for line in self._lines():
            kind, *words = line.split("\t")
            path = Path(words[-1])
            if kind == "D":
                for change in pending.pop(path, []):
                    change(kept)
                continue
            if kind == "S":
                if path in now:
                    now[path].flushed = self.journal / f"content-{words[0]}"
                continue
            if kind in "CM":
                now[path] = FOLDER if kind == "M" else File(None, path)
                change = link(path, now[path])
            elif kind == "R":
                old = Path(words[0])
                change = move(old, path)
                move(old, path)(now)
                if path in now and now[path] is not FOLDER:
                    now[path].name = path
            else:
                now.pop(path, None)
                change = unlink(path)
            pending.setdefault(path.parent, []).append(change)
        lost = 0
        for changes in pending.values():
            survive = rng.randint(0, len(changes))
            lost += len(changes) - survive
            for change in changes[:survive]:
                change(kept)
        return kept, lost

    def _lines(self):
        journal = self.journal / "journal"
        return journal.read_text().splitlines() if journal.exists() else []


FOLDER = object()


class File:
    def __init__(self, flushed, name):
        self.flushed = flushed  # a copy of the content of the last flush
        self.name = name        # where it is now

    def survivor(self, rng):
        """Bytes that may be there, and whether they are the newest ones."""
        newest = self.name.read_bytes() if self.name is not None and self.name.is_file() else None
        old = self.flushed.read_bytes() if self.flushed is not None else b""
        if newest is None or newest == old:
            return old, True
        if rng.random() < 0.3:
            return newest, True
        if self.flushed is None:
            return newest[:rng.randint(0, len(newest) // 2)], False
        return old, False


def link(path, entry):
    return lambda names: names.__setitem__(path, entry)


def unlink(path):
    return lambda names: names.pop(path, None)


def move(old, new):
    def change(names):
        inside = [p for p in names if old in p.parents]
        for path in [old, *inside]:
            if path in names:
                names[new / path.relative_to(old)] = names.pop(path)
    return change
