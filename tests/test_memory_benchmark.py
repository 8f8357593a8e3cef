"""The benchmark of memory, in both modes on tiny sizes: what it prints, not how many megabytes that are."""

import re

import pytest

from benchmarks import memory


def measured(capfd: pytest.CaptureFixture[str], *flags: str) -> list[str]:
    """The lines that the benchmark prints."""
    assert memory.main([*flags, "--words", "4"]) == 0
    return capfd.readouterr().out.splitlines()


def test_memory_is_told_after_each_fit_and_the_last_compared_with_the_third(capfd: pytest.CaptureFixture[str]) -> None:
    *lines, last = measured(capfd, "--fits", "10")
    found = [re.fullmatch(r"fit +(\d+) of 10: ([\d,.]+) MiB", line) for line in lines]
    fits = [(int(line[1]), float(line[2].replace(",", ""))) for line in found if line]
    assert [number for number, _ in fits] == list(range(1, 11))
    assert float(last.removeprefix("last / third: ")) == pytest.approx(fits[-1][1] / fits[2][1], abs=2e-3)


def test_each_verb_tells_its_seconds_and_its_peak(capfd: pytest.CaptureFixture[str]) -> None:
    *verbs, size = measured(capfd, "--rows", "500")
    found = [re.fullmatch(r"(\w+): [\d,.]+ s, peak [\d,]+ MiB", line) for line in verbs]
    assert [line[1] for line in found if line] == ["train", "blend", "predict"]
    assert size == "predicted: 500 rows x 4 words"


def test_held_memory_is_seen_to_grow_with_what_is_held() -> None:
    before = memory.read_resident_mib()
    held = bytearray(b"x") * (64 << 20)
    assert memory.read_resident_mib() - before > 32
    del held


@pytest.mark.parametrize("flags", [[], ["--fits", "7"], ["--fits", "0"], ["--fits", "5", "--rows", "5"]])
def test_flags_without_a_meaning_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        memory.main(flags)
    assert stop.value.code == 2
    assert "--fits" in capsys.readouterr().err
