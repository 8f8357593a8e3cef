"""Is anything lost, and does anything wrong get through? Killed processes, a full disk, flipped bits.

usage: python benchmarks/faults.py [--kills 200] [--full 50] [--flips 10] [--seed 0]

A made-up competition with a tiny random encoder is trained, blended and submitted once in peace. Then again and again,
with processes killed (-9) at random moments, and on a small disk that is full at random moments, until each verb ends
by itself: the run must hold the same files with the same bytes, but for the seconds in `fit.json`. `--full` mounts a
tmpfs, which takes root. `--flips` turns that many bits in each kind of artefact. Exit code 1 if anything failed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.flips import ARTEFACTS, flip
from benchmarks.full_disk import full_disks
from benchmarks.kills import kills
from benchmarks.report import lined_up
from benchmarks.sites import Call, Site, make_site
from benchmarks.trials import Reference, Tally, in_peace

EPOCHS = 70  # some two seconds a fit

Trial = Callable[[Site, Reference, int, np.random.Generator, Tally], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of what was tried; returns 1 if anything failed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--full", type=int, default=50)
    options.add_argument("--flips", type=int, default=10, help="of each kind of artefact")
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args(argv)
    trials: dict[str, tuple[Trial, int]] = {
        "kills": (kills, args.kills),
        "full disks": (full_disks, args.full),
        "flips": (flips, args.flips),
    }
    rng, rows, faults = np.random.default_rng(args.seed), [["", "seconds", "tried", "faults"]], list[str]()
    with tempfile.TemporaryDirectory() as folder:
        site = make_site(Path(folder), EPOCHS)
        reference = in_peace(site)
        for name, (trial, count) in trials.items():
            tally, started = Tally(), time.monotonic()
            trial(site, reference, count, rng, tally)
            tried = ", ".join(f"{number} {what}" for what, number in tally.counts.items())
            rows.append([name, f"{time.monotonic() - started:.0f}", tried, str(len(tally.faults))])
            faults += tally.faults
    print(lined_up(rows), *faults, sep="\n")
    return int(bool(faults))


def flips(site: Site, reference: Reference, count: int, rng: np.random.Generator, tally: Tally) -> None:
    """Flip so many bits in every kind of artefact."""
    if not count:
        return
    states = _states(site, reference)
    for kind in tqdm(ARTEFACTS, desc="flips", unit="kind"):
        site.restore(states[kind == "checkpoint"])
        for _ in range(count):
            done = flip(site, kind, "shared.mean", rng)
            tally.counts["bits"] += 1
            tally.expect(not done.missed, f"{done}")


def _states(site: Site, reference: Reference) -> tuple[Path, Path]:
    """A run with everything in it, and one whose first fit was killed once it had a checkpoint."""
    site.restore(reference.before["submit"])
    for verb in ("submit", "compare"):
        site.run(verb)
    whole = site.keep("whole")
    site.restore(reference.before["train"])
    call = Call(site, "train")
    call.wait(lambda: any(path.parent.name == "fold-0" for path in site.root.rglob("checkpoint.safetensors")))
    call.end(kill=True)
    return whole, site.keep("left")


if __name__ == "__main__":
    sys.exit(main())
