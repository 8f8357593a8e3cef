"""A disk without room: what a verb says on it, what it leaves, and how it goes on when there is room again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.sites import Call, Done, Site, from_on
from benchmarks.trials import Reference, Tally, compare

SHARES = {"train": 0.4, "blend": 0.3, "submit": 0.3}  # which verb meets the full disk
FOLDERS = {"train": "models", "blend": "oof", "submit": "submissions"}
PAGE, DISK = 4096, "32m"


def full_disks(site: Site, reference: Reference, count: int, rng: np.random.Generator, tally: Tally) -> None:
    """Let so many verbs meet a full disk; each goes on when there is room, and is held against the reference."""
    if os.geteuid():
        print("disk full: skipped, for only root may mount a small disk", file=sys.stderr)
        return
    with tqdm(total=count, desc="full disks", unit="moment") as bar, _small_disk(site) as disk:
        while tally.counts["moments"] < count and not tally.faults:
            verb = str(rng.choice(list(SHARES), p=list(SHARES.values())))
            site.restore(reference.before[verb])
            with _filler(disk, PAGE * int(rng.integers(_pages(reference, verb)))):
                done = Call(site, verb).end()
            if done.code == 0:
                tally.counts["with just enough room"] += 1
                continue
            check_refusal(site, verb, done, tally)
            compare(site, reference, tally)
            tally.counts.update(["moments", f"of {verb}"])
            bar.update()


def check_refusal(site: Site, verb: str, done: Done, tally: Tally) -> None:
    """A verb without room says so in one sentence; what is finished stays, and it goes on when there is room."""
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    tally.expect(done.code == 2 and len(errors) == 1, f"{verb} on a full disk: {done.code} {done.err}")
    tally.expect("Traceback" not in done.err, f"{verb} on a full disk: {done.err}")
    finished = {path: path.read_bytes() for path in site.root.rglob("fit.json")}
    for later in from_on(verb):
        again = Call(site, later).end()
        tally.expect(again.code == 0, f"{later} after a full disk: {again.err}")
    lost = [str(path) for path, value in finished.items() if path.read_bytes() != value]
    tally.expect(not lost, f"finished, but made again: {', '.join(lost)}")


def _pages(reference: Reference, verb: str) -> int:
    """Pages of what a verb writes, and two for what is there while it writes."""
    own = [size for name, (size, _) in reference.contents.items() if name.startswith(f"{FOLDERS[verb]}/")]
    return 2 + sum(-(-size // PAGE) for size in own)


@contextmanager
def _small_disk(site: Site) -> Iterator[Path]:
    """A disk of its own for the runs of a site."""
    disk = site.root.parent
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@contextmanager
def _filler(disk: Path, free: int) -> Iterator[None]:
    """Leave so many bytes free."""
    space, filler = os.statvfs(disk), disk / "filler"
    filler.write_bytes(bytes(max(space.f_bavail * space.f_bsize - free, 0)))
    try:
        yield
    finally:
        filler.unlink()
