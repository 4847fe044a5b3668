"""What the room of runs hands out."""

from __future__ import annotations

from dataclasses import dataclass

from backend.db.models import Job, Run
from backend.db.models.curation import Handling
from backend.evaluation.results import ModelRow
from backend.runs.cautions import Caution


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of a fine-tune's phases; fetching a base model that is not here comes on top.

    Attributes:
        asking_again: to score the student once more with a reason first, where it learns both forms. It
            is no part of the fine-tune.
    """

    loading: float
    training: float
    preferring: float
    scoring: float
    asking_again: float = 0.0

    @property
    def total(self) -> float:
        """From the start to the last score."""
        return self.loading + self.training + self.preferring + self.scoring


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a fine-tune will take. Without the base model only its examples are known.

    Attributes:
        examples: learned in one pass; a row with a reason counts twice where both forms are.
        memory_free: bytes that can still be taken where it would run.
        cautions: what speaks against it, what makes it impossible first.
        steps: of the whole run.
        tokens: computed in one pass, policies packed before many posts.
        peer_tokens: computed in one pass where each example stands alone, padded to its batch's longest.
        learned_tokens: that the loss counts in one pass.
        phases: None where nothing like it was done on this computer.
        pace: what the time is told from, "run 2" or "a measurement".
        pace_alike: whether that had settings which go as fast.
        memory: bytes at the peak, of the GPU where there is one, else of the process.
        memory_measured: whether an earlier run's peak is in it; else it is a rough figure.
    """

    examples: int
    memory_free: float
    cautions: tuple[Caution, ...] = ()
    steps: int | None = None
    tokens: int | None = None
    peer_tokens: int | None = None
    learned_tokens: int | None = None
    phases: Phases | None = None
    pace: str | None = None
    pace_alike: bool = False
    memory: float | None = None
    memory_measured: bool = False

    @property
    def seconds(self) -> float | None:
        """From the start to the last score."""
        return None if self.phases is None else self.phases.total


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
