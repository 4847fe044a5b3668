"""What the preference step learns of a dataset version: values in, values out.

A pair is one post of the version where people's answer is taught in place of the teacher's:
people's as the version froze it, to be preferred, and the teacher's first answer, to be rejected.
Only the handling `review` teaches people's answers, so the others give no pairs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from training.prompt import Answers


class Corrected(StrEnum):
    """What people corrected of the teacher's answer."""

    LABELS = "labels"
    REASON = "reason"


@dataclass(frozen=True, slots=True)
class Both:
    """What is compared of a row and the teacher's answer to it.

    Attributes:
        taught: the row's labels.
        origin: whose they are.
        answered: the teacher's labels; None where its answer could not be read.
        other_reason: whether the row teaches a person's reason where the teacher gave another.
    """

    taught: tuple[str, ...]
    origin: str
    answered: tuple[str, ...] | None
    other_reason: bool


@dataclass(frozen=True, slots=True)
class PairCounts:
    """How many training posts there are to learn a preference from, by what was corrected."""

    labels: int = 0
    reasons: int = 0

    def learned(self, answers: Answers) -> int:
        """How many of them make a difference to a student that learns these answers."""
        return self.labels if answers == "direct" else self.labels + self.reasons


def corrected(both: Both, codes: Collection[str]) -> Corrected | None:
    """What people corrected; None where there is no pair.

    An answer with categories that the policy does not have cannot be rendered under it.
    """
    if both.answered is None or not set(both.answered) <= set(codes):
        return None
    if set(both.taught) != set(both.answered):
        # A second answer of the teacher's own that replaced its first is no moderator's.
        return Corrected.LABELS if both.origin == "people" else None
    return Corrected.REASON if both.other_reason else None
