"""What the room of runs hands out."""

from __future__ import annotations

from dataclasses import dataclass

from backend.db.models import Job, Run
from backend.db.models.curation import Handling
from backend.evaluation.results import ModelRow


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a fine-tune will take.

    Attributes:
        examples: rows learned in one epoch; a row with a reason counts twice where both forms are.
        tokens: rendered in one epoch, policy and post included; None where the base model is not here.
        learned_tokens: those that the loss counts; None likewise.
        seconds_low, seconds_high: training alone, without loading and scoring.
        measured: whether the time comes from a run on this computer; else it is a rough span.
    """

    examples: int
    tokens: int | None
    learned_tokens: int | None
    seconds_low: float
    seconds_high: float
    measured: bool


@dataclass(frozen=True, slots=True)
class NewDecisions:
    """Decisions that no student has learned: how many, and since which run; None before one has finished."""

    count: int
    since: int | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of the list of runs.

    Attributes:
        version_number: of its dataset version.
        champion: whether it is the model in use.
        headline: its figures on the newest test split; None before they are there.
    """

    run: Run
    job: Job
    version_number: int
    handling: Handling
    champion: bool
    headline: ModelRow | None

    @property
    def name(self) -> str:
        """What people call it."""
        return f"run {self.run.number}"
