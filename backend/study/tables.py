"""What a report consists of: sentences, and tables of figures with their intervals."""

from __future__ import annotations

from dataclasses import dataclass

from backend.evaluation.comparison import share_text
from backend.study.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Shown:
    """An estimate in a table; `signed` where it is a difference, `clear` where that is more than chance."""

    estimate: Estimate | None
    signed: bool = False
    clear: bool = False

    def __str__(self) -> str:
        return span(self.estimate, signed=self.signed)


Value = str | Shown


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report, with a sentence above it."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One question of a study, what follows, and the figures behind it."""

    title: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...] = ()


def span(estimate: Estimate | None, *, signed: bool = False) -> str:
    """A mean with its interval: ".61 (.57 to .65)"; "–" where there is none."""
    value, _, interval = inside(estimate, signed=signed).partition(", ")
    return f"{value} ({interval})" if interval else value


def inside(estimate: Estimate | None, *, signed: bool = False) -> str:
    """The same where it stands in brackets already: ".61, .57 to .65"."""
    if estimate is None:
        return "–"
    text = share_text(estimate.value, signed=signed)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text}, {share_text(estimate.low)} to {share_text(estimate.high)}"
