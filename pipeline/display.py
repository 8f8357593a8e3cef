"""Terminal output: numbers, durations, tables and warnings, in the same form in every command."""

import sys
from collections.abc import Sequence

from tqdm import tqdm


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


def print_warnings(sentences: Sequence[str]) -> None:
    """Print warnings to standard error, one line each."""
    for sentence in sentences:
        tqdm.write(f"warning: {escape_controls(sentence)}", file=sys.stderr)


def print_line(sentence: str) -> None:
    """Print a line to standard output, above a progress bar if there is one."""
    tqdm.write(sentence)
    sys.stdout.flush()


def escape_controls(text: str) -> str:
    """Return a text with control characters escaped: untrusted ids or classes must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
