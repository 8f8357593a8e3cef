"""The benchmark of faults: what it calls recovered is recovered, and it does not overlook what is not."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.full_disk import check_refusal
from benchmarks.kills import kills
from benchmarks.sites import Call, Done, Site, make_site
from benchmarks.trials import Reference, Tally, compare, in_peace

resource = pytest.importorskip("resource")  # Windows has none


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The competition of the benchmark, with shorter fits."""
    return make_site(tmp_path_factory.mktemp("faults"), epochs=10)


@pytest.fixture(scope="module")
def reference(site: Site) -> Reference:
    """What the run holds that nothing disturbed."""
    return in_peace(site)


def test_what_was_killed_five_times_ends_as_what_nobody_killed(site: Site, reference: Reference) -> None:
    tally = Tally()
    kills(site, reference, 5, np.random.default_rng(1), tally)
    assert tally.faults == []
    assert tally.counts["kills"] == 5
    assert tally.counts["runs compared"] >= 1


def test_a_file_that_cannot_grow_is_a_sentence_and_the_run_goes_on(site: Site, reference: Reference) -> None:
    site.restore(reference.before["blend"])
    call, tally = Call(site, "blend"), Tally()
    resource.prlimit(call.process.pid, resource.RLIMIT_FSIZE, (1500, 1500))  # as a full disk, without its mounting
    done = call.end()
    check_refusal(site, "blend", done, tally)
    compare(site, reference, tally)
    assert tally.faults == []
    assert re.fullmatch(r"error: File too large: \S+/oof/shared\.mean\.parquet\n", done.err)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda root: (root / "oof" / "blend.parquet").write_bytes(b""), "oof/blend.parquet"),
        (lambda root: (root / "submissions" / "submission.json").unlink(), "submissions/submission.json"),
        (lambda root: (root / "models" / ".poolblend-x").mkdir(), "models/.poolblend-x"),
    ],
    ids=["changed", "lost", "left over"],
)
def test_what_is_not_as_it_was_is_a_fault(
    site: Site, reference: Reference, harm: Callable[[Path], None], named: str
) -> None:
    site.restore(reference.before["submit"])
    assert site.run("submit").code == 0
    compare(site, reference, sound := Tally())
    harm(site.root)
    compare(site, reference, tally := Tally())
    assert sound.faults == []
    assert tally.faults[0] == f"not as in the uninterrupted run: {named}"


def test_a_verb_that_falls_silent_or_raises_is_a_fault(site: Site, reference: Reference) -> None:
    for code, err in ((1, "error: full"), (2, ""), (2, "error: full\nTraceback (most recent call last)")):
        site.restore(reference.before["submit"])
        check_refusal(site, "submit", Done(code, "", err), tally := Tally())
        assert len(tally.faults) == 1
