"""What a job is told, by kind; checked when it is made and when it is carried out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Inference = Literal["direct", "reasoned"]
"""How a student is asked: for the labels alone, or for a reason first."""


class Payload(BaseModel):
    """A job's payload as it lies in its row."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainPayload(Payload):
    """A fine-tune; its run is the one that points at the job.

    `champion_job_id` scores the champion on those of the sets that it was never scored on, so
    that challenger and champion stand side by side. `learned` is how many of the rows that it
    learns are scored too, to see by how much they come out better than others.
    """

    set_ids: tuple[int, ...] = ()
    champion_job_id: int | None = None
    learned: int = 0


class ScorePayload(Payload):
    """Models to score on sets: runs, and the base model where asked for.

    `inference` is how they are asked; where it is None, each as it is asked by itself.
    """

    run_ids: tuple[int, ...] = ()
    base: bool = False
    set_ids: tuple[int, ...]
    inference: Inference | None = None


class ExportPayload(Payload):
    """What to write: a dataset version, or all decisions where there is none."""

    version_id: int | None = None
    format: Literal["jsonl", "csv", "parquet"] = "jsonl"
