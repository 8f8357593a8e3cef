"""The benchmark of handing out: a few fits really, and on simulated workers whose time is known."""

import re

import pytest

from benchmarks import scale


@pytest.mark.parametrize("workers", ["1", "2"])
def test_fits_that_do_nothing_are_timed(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert scale.main(["--fits", "10", "--workers", workers, "--megabytes", "1"]) == 0
    out = capsys.readouterr().out
    assert re.match(r"10 fits through local: \d+\.\d ms a fit beside its own time\n", out)
    assert re.search(r"^results saved: \d+ MB/s$", out, re.MULTILINE)


def test_simulated_workers_are_busy_but_for_the_driver(capsys: pytest.CaptureFixture[str]) -> None:
    scale.main(["--simulate", "4", "--fits", "20", "--seconds", "1000", "--extra", "0"])
    free = capsys.readouterr().out
    scale.main(["--simulate", "4", "--fits", "20", "--seconds", "1000", "--extra", "100"])
    slow = capsys.readouterr().out
    shares = [float(re.findall(r"remained: ([\d.]+)%", out)[0]) for out in (free, slow)]
    assert shares[0] > 99.0
    assert shares[1] < 95.0  # the driver hands out four in 400 s
    assert re.match(r"20 fits of 1000 s on 4 simulated workers: 5,\d{3} s\n", free)


def test_fits_come_in_whole_variants() -> None:
    with pytest.raises(SystemExit):
        scale.main(["--fits", "7"])
