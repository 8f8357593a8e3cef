"""What a user may say about the blend in the config."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

# a member's name is the name of its file
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
    """A teammate's files: csv or parquet with the columns id, fold (if known) and one per output."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    oof: FileName = Field(description="path of the out-of-fold predictions, csv or parquet")
    test: FileName = Field(description="path of the test predictions, csv or parquet")


class BlendSpec(BaseModel):
    """The section `blend` of the config."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    method: Method = Field(
        default="auto", description="how members become one prediction; auto climbs from the equal mean while it pays"
    )
    finish: bool = Field(
        default=True,
        description="try a temperature (probabilities) or the target's range (values) after the blend, kept if it pays",
    )
    members: list[MemberName] | None = Field(
        default=None, min_length=1, description="blend these members only; null blends all"
    )
    max_members: int | None = Field(default=None, ge=1, description="use at most so many members")
    max_seconds: float | None = Field(
        default=None,
        gt=0,
        description="use members that predict the test table in so many seconds, as timed in training",
    )
    extra: dict[MemberName, ExtraSpec] = Field(
        default_factory=dict, description="members from files, by name (letters, digits, _ - .)"
    )

    @field_validator("members")
    @classmethod
    def _members_differ(cls, members: list[MemberName] | None) -> list[MemberName] | None:
        twice = sorted({name for name in members or [] if (members or []).count(name) > 1})
        if twice:
            raise ValueError(f"the member {twice[0]!r} is named twice")
        return members
