"""Ratios, medians and tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.training.task import Turn


@dataclass(frozen=True)
class Figure:
    """A median of several rounds, with the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 2, unit: str = "") -> str:
        """As it stands in a table: 5.31 (5.02–5.44)."""
        return f"{self.median:.{digits}f}{unit} ({self.least:.{digits}f}–{self.most:.{digits}f})"


def counted(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns that count: all but the warm-up."""
    return turns[1:]


def examples_per_second(turns: Sequence[Turn]) -> list[float]:
    """Of each counted turn."""
    return [turn.examples / turn.seconds for turn in counted(turns)]


def tokens_per_second(turns: Sequence[Turn]) -> list[float]:
    """Of each counted turn: tokens of the examples as a peer would lay them out, without padding."""
    return [turn.tokens / turn.seconds for turn in counted(turns)]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round, so that what slows the machine for a while slows both."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdict(value: float, bar: float | None, *, at_least: bool = True) -> str:
    """The bar and whether it is reached, as it stands in a table."""
    if bar is None:
        return "–"
    reached = value >= bar if at_least else value <= bar
    return f"{'≥' if at_least else '≤'} {bar:g}: {'reached' if reached else 'missed'}"
