"""The `folds:` section of the config: its keys, their defaults, and the combinations that are refused."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FoldKind = Literal[
    "stratified", "kfold", "group", "stratified_group", "multilabel", "multilabel_group", "predefined", "time"
]

# The kinds that read a column: its key is required with them, and an error with any other kind.
KINDS_BY_COLUMN = {
    "group": ("group", "stratified_group", "multilabel_group"),
    "column": ("predefined",),
    "time": ("time",),
}


class FoldSpec(BaseModel):
    """The split of the training rows; every variant uses the same folds."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: FoldKind = Field(default="stratified", description="How rows are split; regression is stratified by bins.")
    count: int = Field(default=5, ge=2, description="Number of folds; with kind predefined the column decides.")
    seed: int = Field(
        default=42, ge=0, lt=2**32, description="Seed of the shuffle; predefined and time do not shuffle."
    )
    group: str | None = Field(default=None, description="Column whose equal values stay in one fold (group kinds).")
    column: str | None = Field(default=None, description="Column of fold numbers, -1 = train only (kind predefined).")
    time: str | None = Field(default=None, description="Column of numbers or ISO 8601 dates to sort by (kind time).")
    train_only: str | None = Field(
        default=None, description="Column of true or false (1 or 0): rows that only ever train."
    )
    together: Literal["duplicates"] | Annotated[list[str], Field(min_length=1)] | None = Field(
        default="duplicates",
        description="What keeps rows in one fold: nearly equal texts; or equal texts of these columns; null: nothing.",
    )

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        for key, kinds in KINDS_BY_COLUMN.items():
            column = getattr(self, key)
            if self.kind in kinds and column is None:
                raise ValueError(f"folds.{key} must name a column when folds.kind is {self.kind}")
            if self.kind not in kinds and column is not None:
                raise ValueError(
                    f"folds.{key} has an effect only when folds.kind is {' or '.join(kinds)}, not {self.kind}"
                )
        return self
