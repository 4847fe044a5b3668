"""What the room hands out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from backend.db.models import Job
from backend.db.models.review import Verdict
from backend.evaluation.results import ModelRow


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened, in words."""

    at: datetime
    person: str
    text: str


@dataclass(frozen=True, slots=True)
class JudgedPost:
    """A person's judgement of a post."""

    person: str
    item_id: int
    verdict: Verdict
    at: datetime


class Page(StrEnum):
    """Where a step is done."""

    TEACHER = "teacher"
    REVIEW = "review"
    DATASET = "dataset"
    TRAINING = "training"
    EVALUATION = "evaluation"


class StepState(StrEnum):
    """How a step stands."""

    EMPTY = "empty"  # nothing there yet
    OPEN = "open"  # begun, with something left to do
    RUNNING = "running"  # a job is at it
    DONE = "done"


class Action(StrEnum):
    """What the next step's button does: it leads to a page, or acts where the person is."""

    IMPORT = "import"
    GO = "go"
    RETRAIN = "retrain"


@dataclass(frozen=True, slots=True)
class Step:
    """One of the six steps. `figure` is what counts, `detail` says more in a few words."""

    name: str
    figure: str
    detail: str
    state: StepState
    page: Page
    is_next: bool = False


@dataclass(frozen=True, slots=True)
class NextStep:
    """The next sensible step: what is the matter, and what the button says."""

    text: str
    label: str
    action: Action
    page: Page


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that the six steps and the next one follow from.

    Attributes:
        training, test: items of these splits.
        answered: items with a teacher's answer that can be read, whatever became of them.
        invalid: items whose answer cannot be read.
        unanswered: items without an answer that nobody dropped.
        differing: answered items whose labels differ from the decision.
        unverified: answered items without a decision.
        reviewed: items that people have judged here.
        differing_left: waiting items whose answer differs from the decision.
        sent_back_left: waiting items that were sent back though it does not.
        scratch_left: items that wait to be judged from scratch.
        new_decisions: since the dataset version of the last run that finished, or in all before one has.
        new_since: that run's number.
        runs_done: runs that left an adapter.
        active: jobs that wait or are at work, oldest first.
    """

    items: int = 0
    training: int = 0
    test: int = 0
    answered: int = 0
    invalid: int = 0
    unanswered: int = 0
    differing: int = 0
    unverified: int = 0
    reviewed: int = 0
    differing_left: int = 0
    sent_back_left: int = 0
    unverified_left: int = 0
    scratch_left: int = 0
    version_number: int | None = None
    version_rows: int = 0
    run_number: int | None = None
    run_champion: bool = False
    run_failed: bool = False
    run_stopped: bool = False
    runs_done: int = 0
    new_decisions: int = 0
    new_since: int | None = None
    champion_f1: float | None = None
    base_f1: float | None = None
    active: tuple[Job, ...] = ()


@dataclass(frozen=True, slots=True)
class Champion:
    """The model in use, beside the base model and the newest run.

    Attributes:
        name: "Base model", or "Run 2".
        row: its figures on the project's test split; None while it is not evaluated.
        base: the base model's, where another model is champion.
        challenger: the newest evaluated run, where it is not the champion.
    """

    name: str
    set_name: str | None = None
    row: ModelRow | None = None
    base: ModelRow | None = None
    challenger: ModelRow | None = None
