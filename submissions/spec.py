"""The `submission:` section of the config: what the host asks for, where the sample does not show it."""

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# A file name on any system.
FILE_NAME = re.compile(r"""[^./\\:*?"<>|\x00-\x1f\x7f][^/\\:*?"<>|\x00-\x1f\x7f]{0,99}\.csv""")
SubmissionKind = Literal["probabilities", "labels", "values", "ranked"]


class SubmissionSpec(BaseModel):
    """The content of a submission, and the name of its file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: SubmissionKind | None = Field(
        default=None, description="What to submit; null infers it from task and sample."
    )
    match_ids: Literal["text", "numbers"] = Field(
        default="text", description="How the sample's ids are those of the test table; numbers: 0040 and 40.0 are 40."
    )
    clip: list[float] | None = Field(
        default=None, min_length=2, max_length=2, description="Lowest and highest value; values beyond are clipped."
    )
    file: str = Field(default="submission.csv", description="Name of the file in the run's submissions folder.")

    @field_validator("clip")
    @classmethod
    def _check_clip(cls, clip: list[float] | None) -> list[float] | None:
        if clip is not None and not clip[0] < clip[1]:
            raise ValueError(f"submission.clip must be [low, high] with low < high. Got {clip} instead")
        return clip

    @field_validator("file")
    @classmethod
    def _check_file(cls, file: str) -> str:
        if not FILE_NAME.fullmatch(file):
            raise ValueError(f"submission.file must be a bare name that ends in .csv. Got {file!r} instead")
        return file

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.clip is not None and self.kind not in (None, "values"):
            raise ValueError(f"submission.clip has an effect only on values, not on submission.kind {self.kind}")
        return self
