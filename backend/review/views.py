"""What the review room hands out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.db.models.content import Agreement, Queue, Split
from backend.db.models.review import Verdict


@dataclass(frozen=True, slots=True)
class ReviewAnswer:
    """What the teacher said, where it can be read. `policy_version` is the one it was asked under."""

    id: int
    labels: tuple[str, ...]
    analysis: str
    harmful: tuple[str, ...]
    model: str
    policy_version: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a person decided before the item was sent back. `labels` is None where it was dropped."""

    person: str
    verdict: Verdict | None
    labels: tuple[str, ...] | None
    reason: str | None
    harmful: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Decided:
    """The labels that stand for an item. `whose` says whose they are: "gold", or "ada's decision"."""

    labels: tuple[str, ...]
    whose: str


@dataclass(frozen=True, slots=True)
class QueueProgress:
    """How far a queue is.

    Attributes:
        done: items that people have judged.
        left: items that wait; counted up to a bound, so that it takes as long at a million.
        differing_left: those of them that were sent back or disagree with the decision.
        more: whether more wait than were counted.
    """

    done: int
    left: int
    differing_left: int
    more: bool = False

    @property
    def position(self) -> int:
        """The place of the item that comes next, counted from 1."""
        return self.done + 1

    @property
    def total(self) -> int:
        """What `position` is out of: what is done and what disagrees, then all."""
        return self.done + (self.differing_left or self.left)


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One post to judge. `gold_labels` is None where no label was imported."""

    id: int
    external_id: str
    text: str
    source: str
    meta: dict[str, Any]
    split: Split
    queue: Queue
    agreement: Agreement
    why: str
    answer: ReviewAnswer | None
    recheck: ReviewAnswer | None
    gold_labels: tuple[str, ...] | None
    gold_reason: str | None
    earlier: Earlier | None
    leased_until: datetime
    progress: QueueProgress

    @property
    def position(self) -> int:
        """Its place in the queue, counted from 1."""
        return self.progress.position

    @property
    def decided(self) -> Decided | None:
        """The labels that stand until it is judged here; None where nobody gave any."""
        if self.earlier is not None:
            labels, whose = self.earlier.labels, f"{self.earlier.person}'s decision"
        else:
            labels, whose = self.gold_labels, "gold"
        return None if labels is None else Decided(labels, whose)

    def replaced_by(self, labels: Collection[str] | None) -> Decided | None:
        """What stands and would give way to these labels; None where nothing would."""
        decided = self.decided
        if decided is None or labels is None or set(labels) == set(decided.labels):
            return None
        return decided


@dataclass(frozen=True, slots=True)
class Saved:
    """A decision that is in the database."""

    judgement_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Undone:
    """An item that was given back, and the queue that it waits in again."""

    item_id: int
    queue: Queue
