"""One logger prints: what --quiet and --verbose show, where warnings go, and what the log of a run keeps."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import run
from pipeline.display import (
    LOGGER,
    TerminalHandler,
    configure_terminal,
    escape_controls,
    print_detail,
    print_error,
    print_line,
    print_warnings,
    write_log,
)


@pytest.fixture(autouse=True)
def logger_as_before() -> Iterator[None]:
    handlers, level, propagate = list(LOGGER.handlers), LOGGER.level, LOGGER.propagate
    yield
    LOGGER.handlers[:], LOGGER.propagate = handlers, propagate
    LOGGER.setLevel(level)


def print_one_of_each() -> None:
    print_detail("a detail")
    print_line("a line")
    print_warnings(["a\x1b[31m warning"])
    print_error("a refusal")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (logging.WARNING, ""),
        (logging.INFO, "a line\n"),
        (logging.DEBUG, "a detail\na line\n"),
    ],
)
def test_a_level_shows_what_is_at_or_above_it_and_warnings_go_to_standard_error(
    level: int, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_terminal(level)
    print_one_of_each()
    printed = capsys.readouterr()
    assert printed.out == shown
    assert printed.err == "warning: a\\x1b[31m warning\nerror: a refusal\n"


def test_configuring_again_replaces_the_level_and_prints_once(capsys: pytest.CaptureFixture[str]) -> None:
    for level in (logging.DEBUG, logging.WARNING, logging.INFO):
        configure_terminal(level)
    print_one_of_each()
    assert capsys.readouterr().out == "a line\n"
    assert sum(isinstance(handler, TerminalHandler) for handler in LOGGER.handlers) == 1


def test_a_log_keeps_details_with_time_and_level_whatever_the_terminal_shows(tmp_path: Path) -> None:
    configure_terminal(logging.WARNING)
    path = tmp_path / "train.log"
    with write_log(path):
        print_one_of_each()
    print_line("after the block")
    levels = [line.split()[2:] for line in path.read_text(encoding="utf-8").splitlines()]
    assert levels == [
        ["DEBUG", "a", "detail"],
        ["INFO", "a", "line"],
        ["WARNING", "a\\x1b[31m", "warning"],
        ["ERROR", "a", "refusal"],
    ]


def test_a_log_is_appended_to_and_ends_with_the_error_that_ended_its_block(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_terminal()
    path = tmp_path / "train.log"
    with write_log(path):
        print_line("first call")
    with pytest.raises(KeyboardInterrupt), write_log(path):
        raise KeyboardInterrupt
    first, last = path.read_text(encoding="utf-8").splitlines()
    assert first.endswith("INFO first call")
    assert last.endswith("ERROR ended by KeyboardInterrupt: ")
    assert capsys.readouterr().err == ""  # the caller prints it, and only once


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_log_on_a_full_disk_does_not_end_what_it_logs(capsys: pytest.CaptureFixture[str]) -> None:
    configure_terminal()
    with write_log(Path("/dev/full")):
        print_line("still printed")
    assert capsys.readouterr().out == "still printed\n"


def test_text_from_a_table_cannot_steer_the_terminal() -> None:
    assert escape_controls("a\tb\x1b]0;title\x07\nc") == "a\\tb\\x1b]0;title\\x07\nc"


def test_train_writes_its_log_and_verbose_and_quiet_change_what_is_printed(
    blended: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    site = blended("binary")
    config = ["--config", str(site.folder / "config.yaml")]
    capsys.readouterr()
    printed = {}
    for option in ("--quiet", "", "--verbose"):
        assert run.main(["train", *filter(None, [option]), *config]) == 0
        printed[option] = capsys.readouterr().out
    assert printed["--quiet"] == ""
    assert printed[""] != ""
    assert printed["--verbose"].endswith(printed[""])
    assert "torch" in printed["--verbose"].removesuffix(printed[""])
    logs = list((site.folder / "runs").glob("*/train.log"))
    assert len(logs) == 1
    text = logs[0].read_text(encoding="utf-8")
    assert text.count("DEBUG python run.py train") >= 3
    assert printed[""].splitlines()[-1] in text
