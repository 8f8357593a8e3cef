"""From the text columns of a table to what a model reads: one string a row, or two for a pair."""

import string
from pathlib import Path

import pandas as pd

from pipeline.errors import PipelineError
from pipeline.tables import need_columns

JOIN = " | "  # between three columns or more; a template says it otherwise


def text_columns(text: str | list[str]) -> list[str]:
    """The columns that a `text` setting reads. Raises PipelineError for a template that is none."""
    if isinstance(text, list):
        return text
    if "{" not in text:
        return [text]
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise PipelineError(f"competition.text is no valid template: {error}") from error
    for _, field, form, conversion in parts:
        # only plain names: a format field could otherwise reach into objects, or mean a place
        plain = field is None or (field and not field.isdigit() and not any(sign in field for sign in ".[]"))
        if not plain or form or conversion:
            raise _no_template(text)
    names = list(dict.fromkeys(field for _, field, _, _ in parts if field is not None))
    if not names:
        raise _no_template(text)
    return names


def render(frame: pd.DataFrame, text: str | list[str], path: Path, what: str) -> list[tuple[str, ...]]:
    """Texts of all rows: a tuple of one string, or of two for a pair of columns."""
    columns = text_columns(text)
    need_columns(frame, columns, path, what)
    if isinstance(text, str) and "{" in text:
        rows = frame[columns].to_dict("records")
        return [(text.format_map({str(k): v for k, v in row.items()}),) for row in rows]
    values = [frame[column].tolist() for column in columns]
    if len(columns) > 2:
        return [(JOIN.join(row),) for row in zip(*values, strict=True)]
    return list(zip(*values, strict=True))


def _no_template(text: str) -> PipelineError:
    return PipelineError(f"competition.text must name columns in braces, like '{{title}} [SEP] {{body}}', got {text!r}")


def text_warnings(frame: pd.DataFrame, text: str | list[str], path: Path) -> list[str]:
    """Sentences on text columns that look wrong: numbers, or empty."""
    found = []
    for column in text_columns(text):
        filled = frame[column][frame[column].str.strip() != ""]
        if empty := len(frame) - len(filled):
            found.append(f"{path.name}: {empty} of {len(frame)} rows have an empty {column}")
        if len(filled) and pd.to_numeric(filled, errors="coerce").notna().mean() > 0.9:
            found.append(f"{path.name}: text column {column} holds numbers; is it the right column?")
    return found
