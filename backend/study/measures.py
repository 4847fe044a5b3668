"""What students are compared by, and which of them are alike but in one thing."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from backend.study.intervals import Figure
from backend.study.scored import OfSet, Results, Scored


def main(one: Scored) -> Figure | None:
    """The figure that a set is compared by."""
    return one.main


def ranking(one: Scored) -> Figure | None:
    """How well a student tells posts apart."""
    return one.ranking


@dataclass(frozen=True, slots=True)
class Measure:
    """What students are compared by: the figure, and what it is called on a set."""

    figure: Callable[[Scored], Figure | None]
    name: Callable[[OfSet], str]


JUDGED = Measure(main, lambda of: of.measure)
"""As they would judge posts in use, by the thresholds chosen on validation posts."""

RANKED = Measure(ranking, lambda of: of.ranking)
"""How well they tell posts apart, whatever the thresholds."""


def on(results: Results, of: OfSet) -> list[Scored]:
    """The students that were scored on a set."""
    return [one for one in results.scored if one.of.id == of.id]


def but_handling(one: Scored) -> Hashable:
    """What two students have in common, beside the seed, that differ by their handling."""
    return (one.cell.answers, one.cell.size, one.inference)


def but_answers(one: Scored) -> Hashable:
    """The same of two that differ by how they answer."""
    return (one.cell.handling_name, one.cell.size)


def but_size(one: Scored) -> Hashable:
    """The same of two that differ by how many rows they learned."""
    return (one.cell.answers, one.inference)


def but_left_out(one: Scored) -> Hashable:
    """The same of two of which one was never shown a category."""
    return (one.cell.handling_name, one.cell.answers, one.inference)
