"""What the terminal shows: numbers, durations, tables and warnings, alike in every verb."""

import sys
from collections.abc import Sequence

from tqdm import tqdm


def number(value: float | None) -> str:
    """A score with five digits; a dash where there is none."""
    return "-" if value is None else f"{round(value, 5) + 0.0:.5f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 8.2 s, 3 min, 1 h 20 min."""
    if seconds < 99:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def counted(number: float, noun: str) -> str:
    """1 thread, 2 threads."""
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned, the first to the left, the others to the right."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]

    def text(line: Sequence[str]) -> str:
        first, *others = [
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join([first, *others]).rstrip()

    return "\n".join([text(lines[0]), "  ".join("-" * width for width in widths), *map(text, lines[1:])])


def warn(sentences: Sequence[str]) -> None:
    """Warnings go to standard error, one line each."""
    for sentence in sentences:
        tqdm.write(f"warning: {printable(sentence)}", file=sys.stderr)


def say(sentence: str) -> None:
    """A sentence on standard output, above a progress bar if there is one."""
    tqdm.write(sentence)
    sys.stdout.flush()


def printable(text: str) -> str:
    """A text in which what would steer a terminal, in a stranger's id or class for one, is shown instead of done."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
