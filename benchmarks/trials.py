"""Trials of a run: what nobody disturbed as the reference, and what was counted and found when something did."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from benchmarks.sites import VERBS, Call, Site, contents


@dataclass(frozen=True)
class Reference:
    """What an uninterrupted run holds, a copy of it before each verb, and each verb's seconds of start-up and work."""

    contents: dict[str, tuple[int, str]]
    before: dict[str, Path]
    seconds: dict[str, tuple[float, float]]


@dataclass
class Tally:
    """What was counted, and a sentence on each thing that is not as it should be."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def expect(self, right: bool, sentence: str) -> None:
        """Note a fault unless it is `right`."""
        if not right:
            self.faults.append(sentence)
            tqdm.write(f"FAULT: {sentence}", file=sys.stderr)


def in_peace(site: Site) -> Reference:
    """Train, blend and submit with nothing in the way."""
    before, seconds = dict[str, Path](), dict[str, tuple[float, float]]()
    for verb in VERBS:
        before[verb] = site.keep(f"before {verb}")
        call = Call(site, verb)
        call.wait(call.begun)
        start = call.seconds
        if (done := call.end()).code:
            raise SystemExit(done.err)
        seconds[verb] = start, call.seconds - start
    return Reference(contents(site.root), before, seconds)


def compare(site: Site, reference: Reference, tally: Tally) -> None:
    """Hold a run against the uninterrupted one, file for file, and let `status --deep` look at it."""
    found, wanted = contents(site.root), reference.contents
    wrong = [name for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]
    tally.expect(not wrong, f"not as in the uninterrupted run: {', '.join(wrong)}")
    deep = site.run("status", "--deep")
    tally.expect(deep.code == 0, f"status --deep: {deep.err}")
    tally.counts["runs compared"] += 1
