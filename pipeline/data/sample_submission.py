"""The sample submission of a competition: how it is filled with predictions, checked before hours of training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from oof.metrics.metric_registry import Metric
from oof.metrics.thresholds import decide_labels
from pipeline.config.competition_spec import CompetitionSpec
from pipeline.data.targets import Targets
from pipeline.errors import PipelineError
from submissions.check import check_sample, check_submission
from submissions.fill import fill_sample
from submissions.formats import SubmissionFormat, choose_separator, describe_format, infer_kind, list_targets
from submissions.host_form import HostForm, find_host_form
from submissions.spec import SubmissionSpec


@dataclass(frozen=True)
class SampleSubmission:
    """A sample: `original` as the host gave it, `wide` with a row for each id and a column for each target.

    `form` leads from one to the other, `format` says what the cells mean, `description` says it in words. `missing` is
    the number of test rows that the sample lacks.
    """

    original: pd.DataFrame
    wide: pd.DataFrame
    form: HostForm
    format: SubmissionFormat
    description: str
    missing: int

    def list_warnings(self, path: Path, id: str) -> list[str]:
        """Return sentences on what the sample has otherwise than the test table; `id` is the config's id column."""
        warnings = []
        if self.form.id != id:
            warnings.append(f"{path.name}: its id column is {self.form.id}, whose values are the test table's {id}")
        if self.missing:
            warnings.append(f"{path.name}: it lacks {self.missing} test rows, so the submission does not hold them")
        return warnings


def read_sample(
    original: pd.DataFrame,
    spec: CompetitionSpec,
    submission: SubmissionSpec,
    targets: Targets,
    metric: Metric,
    test_ids: Sequence[str],
) -> SampleSubmission:
    """Read a sample submission (a table of text), and fill it once with neutral predictions.

    Raises PipelineError or SubmissionError for one that does not fit, so that it is found before training.
    """
    form = find_host_form(
        original,
        id=spec.id,
        test_ids=test_ids,
        columns=targets.columns,
        task=spec.task,
        by_number=submission.match_ids == "numbers",
        separator=targets.separator,
    )
    wide = form.widen(original, test_ids, "the sample submission")
    check_sample(wide, form.id, test_ids)
    kind = submission.kind or infer_kind(
        spec.task, wide, id=form.id, classes=targets.classes, needs=metric.needs, answers=metric.answers
    )
    if form.layout == "list":
        kind = "labels"  # a cell that lists labels can hold nothing else
    if submission.clip is not None and kind != "values":
        raise PipelineError(f"submission.clip bounds values, but this submission holds {kind}: leave it out")
    format = SubmissionFormat(form.id, spec.task, kind, targets.columns, targets.classes)
    if kind == "ranked":
        cells = [cell for target in list_targets(wide, form.id) for cell in wide[target]]
        separator = choose_separator(cells, targets.classes)
        shown = max((cell.count(separator) + 1 for cell in cells), default=1)
        answers = min(metric.answers or shown, len(targets.classes))
        format = replace(format, answers=answers, separator=separator)
    columns = len(format.columns)
    flat: np.ndarray = np.full((len(test_ids), columns), 1 / max(columns, 2))
    fill_checked_sample(wide, format, test_ids, decide_labels(spec.task, flat) if kind == "labels" else flat)
    description = describe_format(wide, format, metric.name)
    return SampleSubmission(original, wide, form, format, description, len(test_ids) - len(wide))


def fill_checked(
    sample: SampleSubmission,
    ids: Sequence[str],
    predictions: np.ndarray,
    *,
    thresholds: Sequence[float] | None,
    clip: Sequence[float] | None,
) -> pd.DataFrame:
    """Return the sample submission in the host's form, filled and checked.

    Raises SubmissionError for what the sample does not allow.
    """
    format = sample.format
    is_labels = format.kind == "labels"
    values = decide_labels(format.task, predictions, thresholds) if is_labels else predictions
    filled = fill_checked_sample(sample.wide, format, ids, values, clip)
    return sample.form.restore(filled, sample.original)


def fill_checked_sample(
    wide: pd.DataFrame,
    format: SubmissionFormat,
    ids: Sequence[str],
    values: np.ndarray,
    clip: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Return a wide sample, filled and checked. Raises SubmissionError for what it does not allow."""
    frame = fill_sample(wide, format, ids=ids, values=values, clip=clip)
    check_submission(frame, wide, format)
    return frame
