"""What a scoring job is told to do."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ScoreModel(BaseModel):
    """A model to score: the base model, or the student of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["base", "run"]
    run_id: int | None = None


class ScorePayload(BaseModel):
    """The payload of a job of kind `score`: each model on each set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[ScoreModel, ...] = Field(min_length=1)
    set_ids: tuple[int, ...] = Field(min_length=1)
