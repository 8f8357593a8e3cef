"""What a config may say about the competition's tables."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from oof.metrics import metric

Column = Annotated[str, StringConstraints(min_length=1)]
Task = Literal["binary", "multiclass", "multilabel", "regression", "ordinal"]


class CompetitionSpec(BaseModel):
    """The tables a host hands out, and what is asked of them. Paths are relative to the config file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    train: str = Field(description="training table: csv, parquet or jsonl")
    test: str = Field(description="test table: csv, parquet or jsonl")
    sample_submission: str = Field(description="the host's sample submission")
    id: Column = Field(default="id", description="column that names a row, in all three tables")
    text: Column | Annotated[list[Column], Field(min_length=1)] = Field(
        description="one column, two (encoded as a pair), more (joined), or a template such as '{title} [SEP] {body}'"
    )
    target: Column | Annotated[list[Column], Field(min_length=1)] = Field(description="one column, or several")
    task: Task = Field(description="what the target is")
    metric: str = Field(description="the score that decides")
    weight: Column | None = Field(default=None, description="column of row weights in the training table")
    classes: Annotated[list[str], Field(min_length=2)] | None = Field(
        default=None, description="the classes or grades in order; the last of two is the positive one"
    )

    @field_validator("metric")
    @classmethod
    def _metric_fits_the_task(cls, name: str, info: ValidationInfo) -> str:
        if "task" in info.data:  # a wrong task is reported on its own
            metric(name, info.data["task"])
        return name

    @model_validator(mode="after")
    def _targets_fit_the_task(self) -> Self:
        several = isinstance(self.target, list) and len(self.target) > 1
        if several and self.task in {"binary", "multiclass", "ordinal"}:
            raise ValueError(
                f"target has several columns but task {self.task} takes one; several 0/1 columns are multilabel"
            )
        if self.classes is not None and self.task in {"multilabel", "regression"}:
            raise ValueError(f"classes has no meaning for task {self.task}")
        return self

    @property
    def targets(self) -> list[str]:
        """The target columns as a list."""
        return [self.target] if isinstance(self.target, str) else list(self.target)
