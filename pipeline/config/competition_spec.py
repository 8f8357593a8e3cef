"""The `competition:` section of the config: tables, columns, task and metric."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from oof.metrics.custom_metric import resolve_needs
from oof.metrics.metric_registry import Needs, find_metric

Column = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]  # fits on a line
Task = Literal["binary", "multiclass", "multilabel", "regression", "ordinal"]


class CustomMetricSpec(BaseModel):
    """A custom metric: a function in a Python file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    file: Column = Field(description="Python file, relative to the config file")
    function: Column = Field(description="its function of (truth, predictions), two arrays, that gives a number")
    direction: Literal["higher", "lower"] = Field(description="which values are better")
    needs: Needs | None = Field(
        default=None, description="what the function gets; null: values for a regression, else probabilities"
    )


def _get_metric_kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "known"
    return "own" if isinstance(value, (dict, CustomMetricSpec)) else None


MetricSpec = Annotated[
    Annotated[str, StringConstraints(max_length=100), Tag("known")] | Annotated[CustomMetricSpec, Tag("own")],
    Discriminator(
        _get_metric_kind,
        custom_error_type="metric_type",
        custom_error_message="must be the name of a metric, or keys file, function and direction for one of your own",
    ),
]


class CompetitionSpec(BaseModel):
    """The tables of a competition, and the task. Paths are relative to the config file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    train: Column = Field(description="training table: csv, parquet or jsonl")
    test: Column = Field(description="test table: csv, parquet or jsonl")
    sample_submission: Column = Field(description="the host's sample submission")
    labels: Column | None = Field(default=None, description="table of the targets by id, if training has none")
    id: Column = Field(default="id", description="column that names a row, in all three tables")
    repeated_ids: Literal["refuse", "average"] = Field(
        default="refuse", description="average: several rows of an id share a fold, and their predictions are averaged"
    )
    text: Column | Annotated[list[Column], Field(min_length=1)] = Field(
        description="one column, two (encoded as a pair), more (joined), or a template such as '{title} {sep} {body}'"
    )
    target: Column | Annotated[list[Column], Field(min_length=1)] = Field(description="one column, or several")
    task: Task = Field(description="what the target is")
    metric: MetricSpec = Field(description="the score that decides: a name, or a function in a file")
    weight: Column | None = Field(default=None, description="column of row weights in the training table")
    classes: Annotated[list[str], Field(min_length=2)] | None = Field(
        default=None, description="the classes, grades or labels in order; the last of two classes is the positive one"
    )

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, given: str | CustomMetricSpec, info: ValidationInfo) -> str | CustomMetricSpec:
        task = info.data.get("task")
        if task is None:  # a wrong task is reported on its own
            return given
        if isinstance(given, CustomMetricSpec):
            return given.model_copy(update={"needs": resolve_needs(given.needs, task)})
        find_metric(given, task)
        return given

    @model_validator(mode="after")
    def _check_targets(self) -> Self:
        several = isinstance(self.target, list) and len(self.target) > 1
        if several and self.task in {"binary", "ordinal"}:
            raise ValueError(
                f"target has several columns but task {self.task} takes one; several 0/1 columns are multilabel, or "
                "multiclass where each row has a single 1"
            )
        one_column = not isinstance(self.target, list) or len(self.target) == 1
        if self.classes is not None and (self.task == "regression" or not one_column):
            raise ValueError(f"classes has no meaning for task {self.task} with {len(self.targets)} target columns")
        return self

    @property
    def targets(self) -> list[str]:
        """The target columns as a list."""
        return [self.target] if isinstance(self.target, str) else list(self.target)
