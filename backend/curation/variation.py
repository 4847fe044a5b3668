"""Versions made for a study: smaller, without one category, or with simulated second answers.

What is drawn at random is drawn by a hash of the post's id, so that a draw is the same on every
computer, the smaller of two draws lies within the larger, and two handlings draw the same posts
as far as both have them.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from backend.curation.handling import Answered, Candidate, LeftOut, Rules, Taught, Why, handle
from backend.text import things


@dataclass(frozen=True, slots=True)
class Variation:
    """How a version differs from what its handling gives.

    Attributes:
        rows: so many training rows, drawn at random; validation rows all stay. None for all.
        leave_out: the code of a category of which nothing is taught, in training and validation.
        repaired: the share of the teacher's wrong answers that a simulated second answer puts
            right, in people's words; the others it repeats. None where nothing is simulated.
        seed: of the draws.
    """

    rows: int | None = None
    leave_out: str | None = None
    repaired: float | None = None
    seed: int = 0

    @property
    def stored(self) -> dict[str, Any]:
        """As a version keeps it with its counts; empty for a version as its handling gives it."""
        kept = (self.rows, self.leave_out, self.repaired)
        if kept == (None, None, None):
            return {}
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def words(self) -> Iterator[str]:
        """What is different, for people."""
        if self.rows is not None:
            yield f"{things(self.rows, 'training row')} of draw {self.seed}"
        if self.leave_out is not None:
            yield f"without {self.leave_out}"
        if self.repaired is not None:
            yield f"second answers simulated, {self.repaired:.0%} put right in draw {self.seed}"

    def warnings(self) -> Iterator[str]:
        """What whoever trains on it has to know."""
        if self.repaired is not None:
            yield (
                "Second answers of the teacher are simulated: no teacher gave them. "
                f"{self.repaired:.0%} of its wrong answers, drawn at random, have people's labels and reason."
            )


AS_IT_IS = Variation()
"""A version as its handling gives it."""


def varied(external_id: str, row: Candidate, rules: Rules, variation: Variation) -> Taught | LeftOut:
    """What is taught of an item under a variation; how many rows there may be is not looked at.

    Args:
        external_id: the item's, by which is drawn.
        row, rules: as for `handle`.
        variation: what is different.
    """
    outcome = handle(_asked_again(external_id, row, variation), rules)
    left_out = variation.leave_out
    if left_out is None or isinstance(outcome, LeftOut):
        return outcome
    # A post that has the category and is taught without it would teach that it breaks no rule.
    decided = row.decision.labels if row.decision is not None else None
    return LeftOut(Why.CATEGORY) if left_out in (*outcome.labels, *(decided or ())) else outcome


def smallest_draw(ids: Iterable[tuple[int, str]], rows: int, seed: int) -> frozenset[int]:
    """The items that a draw of so many rows takes.

    Args:
        ids: of all items to draw from, (id, external id).
        rows: how many.
        seed: of the draw.
    """
    chances = ((draw(f"rows {seed}", external_id), item_id) for item_id, external_id in ids)
    return frozenset(item_id for _, item_id in heapq.nsmallest(rows, chances))


def draw(purpose: str, external_id: str) -> float:
    """A number from 0 up to 1 that is an item's own for one purpose, uniform over items."""
    digest = hashlib.sha256(f"{purpose}\n{external_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _asked_again(external_id: str, row: Candidate, variation: Variation) -> Candidate:
    """The item with a second answer, where it has none and the first is wrong."""
    answer, decision = row.answer, row.decision
    if variation.repaired is None or row.recheck is not None or decision is None or decision.labels is None:
        return row
    if answer is None or answer.labels is None or set(answer.labels) == set(decision.labels):
        return row
    if draw(f"repaired {variation.seed}", external_id) >= variation.repaired:
        return replace(row, recheck=answer)
    return replace(row, recheck=Answered(decision.labels, decision.reason or "", decision.harmful))
