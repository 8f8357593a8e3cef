"""The section `blend` of the config."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

# the name of a member is also a file name
MemberName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,149}$")]
FileName = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Method = Literal[
    "auto",
    "mean",
    "subset_mean",
    "geometric_mean",
    "logit_mean",
    "rank_mean",
    "shrunk",
    "simplex",
    "column_simplex",
    "hill_climb",
    "bagged_hill_climb",
    "nnls",
    "stacker",
]


class ExtraSpec(BaseModel):
    """The files of one external member: csv or parquet with the columns id, fold (if known) and one per output."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    oof: FileName = Field(description="path of the out-of-fold predictions, csv or parquet")
    test: FileName = Field(description="path of the test predictions, csv or parquet")
    id: FileName | None = Field(default=None, description="id column of both files; null: id, or the competition's")
    form: Literal["probabilities", "logits"] = Field(
        default="probabilities", description="what the outputs are; logits become probabilities"
    )


class BlendSpec(BaseModel):
    """The section `blend` of the config."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    method: Method = Field(
        default="auto",
        description="how members become one prediction; auto leaves the equal mean only for a cross-fitted gain",
    )
    finish: bool = Field(
        default=True,
        description="try a temperature (probabilities) or the target's range (values) after it, used if it gains",
    )
    members: list[MemberName] | None = Field(
        default=None, min_length=1, description="blend these members only; null blends all"
    )
    max_members: int | None = Field(default=None, ge=1, description="use at most this many members")
    max_seconds: float | None = Field(
        default=None,
        gt=0,
        description="use members that together predict the test table within this time, as timed in training",
    )
    extra: dict[MemberName, ExtraSpec] = Field(
        default_factory=dict, description="external members: files by name (letters, digits, _ - .)"
    )

    @field_validator("members")
    @classmethod
    def _reject_repeated_members(cls, members: list[MemberName] | None) -> list[MemberName] | None:
        names = members or []
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"the member {repeated[0]!r} is named twice")
        return members
