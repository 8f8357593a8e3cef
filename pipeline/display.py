"""Output: numbers, durations, tables and warnings in the same form in every command, by one logger.

`configure_terminal` connects the logger with the terminal, `write_log` with a file. Without either, as in a program
that imports these modules, only warnings are shown.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

LOGGER = logging.getLogger("poolblend")
PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: "}


class TerminalHandler(logging.Handler):
    """Writes to standard output, warnings and errors to standard error, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Raises BrokenPipeError where the reader has closed the pipe."""
        stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout  # as they are now: tests replace them
        tqdm.write(PREFIXES.get(record.levelno, "") + record.getMessage(), file=stream)
        stream.flush()


class LogFile(logging.FileHandler):
    """Appends records with their times to a file; a full disk must not end what is logged."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop a record that cannot be written."""

    def close(self) -> None:
        """Close the file, and drop what cannot be written any more."""
        with suppress(OSError):
            super().close()


def configure_terminal(level: int = logging.INFO) -> None:
    """Show records of that level and above on the terminal, and no longer those that an earlier call asked for."""
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.propagate = False
    for handler in [handler for handler in LOGGER.handlers if isinstance(handler, TerminalHandler)]:
        LOGGER.removeHandler(handler)
    LOGGER.addHandler(TerminalHandler(level))


@contextmanager
def write_log(path: Path) -> Iterator[None]:
    """Append all records of a block to a file, with time and level; details too. Raises OSError if it cannot open."""
    log = LogFile(path, encoding="utf-8", errors="backslashreplace")
    log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOGGER.addHandler(log)
    try:
        yield
    except BaseException as error:
        text = f"ended by {type(error).__name__}: {error}"
        log.handle(logging.LogRecord(LOGGER.name, logging.ERROR, __file__, 0, text, None, None))
        raise
    finally:
        LOGGER.removeHandler(log)
        log.close()


def format_score(value: float | None) -> str:
    """Return a score with five digits; a dash for None."""
    return "-" if value is None else f"{round(value, 5) + 0.0:.5f}"


def format_duration(seconds: float) -> str:
    """Return seconds in a readable unit: 8.2 s, 3 min, 1 h 20 min."""
    if seconds < 99:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_count(number: float, noun: str) -> str:
    """Return a number with its noun: 1 thread, 2 threads."""
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with aligned columns, the first to the left, the others to the right."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]

    def text(line: Sequence[str]) -> str:
        first, *others = [
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join([first, *others]).rstrip()

    return "\n".join([text(lines[0]), "  ".join("-" * width for width in widths), *map(text, lines[1:])])


def print_line(text: str) -> None:
    """Print text to standard output, above a progress bar if there is one; not with --quiet."""
    LOGGER.info(text)


def print_detail(text: str) -> None:
    """Print text that --verbose shows, and the run's log keeps."""
    LOGGER.debug(text)


def print_warnings(sentences: Sequence[str]) -> None:
    """Print warnings to standard error, one line each."""
    for sentence in sentences:
        LOGGER.warning(escape_controls(sentence))


def print_error(sentence: str) -> None:
    """Print an error to standard error."""
    LOGGER.error(escape_controls(sentence))


def escape_controls(text: str) -> str:
    """Return a text with control characters escaped: untrusted ids or classes must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
