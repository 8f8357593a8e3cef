"""A teammate's file of predictions, brought to the columns of our own: id, fold, and one for each output."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from oof.spec import ExtraSpec
from pipeline.config.messages import join_names, quote
from pipeline.data.competition import Competition
from pipeline.data.tables import read_ids, read_table
from pipeline.errors import PipelineError
from submissions.names import find_positions

KEYS = ("id", "fold")


def read_external_table(path: Path, *, extra: ExtraSpec, competition: Competition) -> pd.DataFrame:
    """Read a file of predictions (csv, parquet or jsonl) as text, with its columns named as ours.

    The id may be called `id`, as in the competition, or as `extra` says. Outputs match by the rule for names of classes
    in a sample submission; a binary task may have a column for each class. Raises PipelineError for a file that is
    none, or whose ids are not.
    """
    table = read_table(path, "predictions")
    names = [extra.id] if extra.id else ["id", competition.spec.id]
    id = next((name for name in names if name in table.columns), None)
    if id is None:
        raise PipelineError(
            f"predictions {path} has no id column {' or '.join(map(quote, dict.fromkeys(names)))}; it has "
            f"{join_names(list(table.columns))}; blend.extra.<name>.id names it"
        )
    read_ids(table, id, path, "predictions")
    if id != "id":
        table = table.drop(columns="id", errors="ignore").rename(columns={id: "id"})
    return _convert_logits(_name_outputs(table, competition), path, extra, competition)


def _name_outputs(table: pd.DataFrame, competition: Competition) -> pd.DataFrame:
    """Return the table with the outputs named as the competition's; columns that match none stay as they are."""
    columns, classes = competition.targets.columns, competition.targets.classes
    if all(column in table.columns for column in columns):
        return table
    others = [str(name) for name in table.columns if name not in KEYS]
    wanted = list(classes) if competition.spec.task == "binary" else list(columns)
    positions = find_positions(others, wanted)
    if sorted(place for place in positions if place >= 0) != list(range(len(wanted))):
        if competition.spec.task == "binary" and find_positions(others, columns).count(0) == 1:
            return table.rename(columns={others[find_positions(others, columns).index(0)]: columns[0]})
        return table  # the reader says what is missing
    named = {name: wanted[place] for name, place in zip(others, positions, strict=True) if place >= 0}
    if competition.spec.task != "binary":
        return table.rename(columns=named)
    positive = next(name for name, output in named.items() if output == classes[1])
    negative = next(name for name, output in named.items() if output == classes[0])
    return table.rename(columns={positive: columns[0]}).drop(columns=negative)


def _convert_logits(table: pd.DataFrame, path: Path, extra: ExtraSpec, competition: Competition) -> pd.DataFrame:
    """Return logits as probabilities. Raises PipelineError for probabilities outside of [0, 1]."""
    task = competition.spec.task
    columns = [column for column in competition.targets.columns if column in table.columns]
    if task == "regression" or len(columns) < len(competition.targets.columns):
        return table
    values = table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    finite = np.isfinite(values).all(axis=1)
    outside = finite & ((values < 0) | (values > 1)).any(axis=1)
    if extra.form == "probabilities":
        if outside.mean() > 0.2:  # else the reader names the row
            row = int(outside.argmax())
            raise PipelineError(
                f"{path}: the prediction of id {table['id'].iloc[row]!r}, {values[row].max():g}, is not in [0, 1]; if "
                "these are logits, set blend.extra.<name>.form: logits"
            )
        return table
    if not finite.all():
        return table  # the reader names the row
    converted = softmax(values, axis=1) if task in ("multiclass", "ordinal") else expit(values)
    return table.assign(**{column: [repr(float(cell)) for cell in converted[:, n]] for n, column in enumerate(columns)})
