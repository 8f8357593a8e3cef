"""Processes killed outright at random moments, until every verb of a run has ended by itself."""

import re

import numpy as np
from tqdm import tqdm

from benchmarks.sites import Call, Done, Site, from_on
from benchmarks.trials import Reference, Tally, compare

AIMS = {"start-up": 0.1, "work": 0.6, "write": 0.3}  # a kill waits for the work, and then for a temporary folder
REACH = {"train": 0.5, "blend": 1.0, "submit": 1.0}  # of the seconds of work
FIRST = {"train": 0.7, "blend": 0.3}  # where a run starts: a training takes its time
WRITE = 0.02  # seconds that a write takes


def kills(site: Site, reference: Reference, count: int, rng: np.random.Generator, tally: Tally) -> None:
    """Kill so many processes; every run ends in peace and is held against the reference."""
    with tqdm(total=count, desc="kills", unit="kill") as bar:
        while (begun := tally.counts["kills"]) < count and not tally.faults:
            first = str(rng.choice(list(FIRST), p=list(FIRST.values())))
            site.restore(reference.before[first])
            for verb in from_on(first):
                done = _killed_until_done(site, verb, reference, count, rng, tally)
                tally.expect(done.code == 0, f"{verb} does not go on after a kill: {done.err}")
            compare(site, reference, tally)
            bar.update(tally.counts["kills"] - begun)


def _killed_until_done(
    site: Site, verb: str, reference: Reference, count: int, rng: np.random.Generator, tally: Tally
) -> Done:
    while True:
        call = Call(site, verb)
        last = tally.counts["kills"] >= count
        if not last:
            _wait_for_a_moment(call, reference.seconds[verb], rng)
        training = verb == "train" and call.begun()
        done = call.end(kill=not last)
        first = re.search(r"epoch (\d+):", done.out)  # of the first epoch, unless a checkpoint was taken up
        tally.counts["fits taken up"] += first is not None and int(first[1]) > 1
        if done.code >= 0:
            return done
        writing = any(site.temporary())
        tally.counts.update(["kills", f"of {verb}", *["in a write"] * writing, *["in training"] * training])
        status = site.run("status")
        tally.expect(status.code == 0, f"status after a killed {verb}: {status.err}")


def _wait_for_a_moment(call: Call, seconds: tuple[float, float], rng: np.random.Generator) -> None:
    aim, moment, last = rng.choice(list(AIMS), p=list(AIMS.values())), rng.uniform(), rng.uniform(0, WRITE)
    start, work = seconds
    if aim == "start-up":
        call.wait(seconds=start * moment)
        return
    call.wait(call.begun)
    call.wait(seconds=work * REACH[call.verb] * moment)
    if aim == "write":
        call.wait(call.writing)
        call.wait(seconds=last)
