"""The grid of a study: which students there are to train. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from backend.curation.variation import Variation
from backend.db.models.curation import Handling
from backend.errors import InvalidInputError
from backend.text import things
from training.job import Config
from training.prompt import Answers

_RECHECKS = (Handling.RECHECK_KEEP, Handling.RECHECK_DROP)


class Matching(StrEnum):
    """Whether handlings have as many training rows as they give, or all as few as the smallest."""

    FREE = "free"
    MATCHED = "matched"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Cell:
    """One student of the grid.

    Attributes:
        rows: training rows, where that many are drawn; None for all that the handling gives.
        matched: whether `rows` are as many as the smallest handling gives.
        leave_out: the category that it is never shown.
        repaired: the share of wrong answers that a simulated second answer puts right; see `Variation`.
    """

    handling: Handling
    answers: Answers
    seed: int
    rows: int | None = None
    matched: bool = False
    leave_out: str | None = None
    repaired: float | None = None

    @property
    def size(self) -> str:
        """How its training rows were chosen: "all", "matched", or how many of them were drawn."""
        return "matched" if self.matched else "all" if self.rows is None else str(self.rows)

    @property
    def handling_name(self) -> str:
        """Its handling; one that is simulated says so."""
        return self.handling.value if self.repaired is None else f"{self.handling.value} (simulated)"

    @property
    def name(self) -> str:
        """For people: "drop, both, matched, seed 2"."""
        size = {"all": "", "matched": "matched"}.get(self.size, f"{self.size} rows")
        without = "" if self.leave_out is None else f"without {self.leave_out}"
        parts = (self.handling_name, self.answers, size, without, f"seed {self.seed}")
        return ", ".join(part for part in parts if part)

    def config(self, settings: Config) -> Config:
        """The study's settings with the cell's answers and seed."""
        return settings.model_copy(update={"answers": self.answers, "seed": self.seed})

    def variation(self, available: int | None = None) -> Variation:
        """How its dataset version differs from what its handling gives.

        Args:
            available: training rows that the handling gives; where the cell takes them all, nothing is drawn.
        """
        rows = (
            None if available is not None and self.rows is not None and self.rows >= available else self.rows
        )
        drawn = rows is not None or self.repaired is not None
        return Variation(rows, self.leave_out, self.repaired, self.seed if drawn else 0)


@dataclass(frozen=True, slots=True)
class Grid:
    """What a study varies.

    Attributes:
        seeds: how many; each draws the rows of smaller versions, the LoRA weights and the order anew.
        sizes: training rows to draw, for the learning curve.
        leave_out: categories of which further students are never shown anything, one at a time.
        repaired: of simulated second answers; see `Variation`.

    Raises:
        InvalidInputError: there is nothing to train.
    """

    handlings: Sequence[Handling]
    answers: Sequence[Answers]
    seeds: int = 3
    sizes: Sequence[int] = ()
    matching: Matching = Matching.BOTH
    leave_out: Sequence[str] = ()
    repaired: float | None = None

    def __post_init__(self) -> None:
        if not self.handlings or not self.answers or self.seeds < 1:
            raise InvalidInputError(
                "A study needs a handling, a kind of answer and a seed at least.", "Name one of each."
            )
        if any(size < 2 for size in self.sizes):
            raise InvalidInputError("A student needs two training rows at least.", "Choose larger sizes.")

    def whole(self) -> Iterator[Cell]:
        """The cells that learn all that their handling gives; how much that is may vary by seed."""
        for seed in range(self.seeds):
            for handling in dict.fromkeys(self.handlings):
                repaired = self.repaired if handling in _RECHECKS else None
                for answers in dict.fromkeys(self.answers):
                    yield Cell(handling, answers, seed, repaired=repaired)

    def cells(self, available: Mapping[Cell, int]) -> list[Cell]:
        """All cells, seed after seed, so that a study that was broken off has whole comparisons.

        Args:
            available: the training rows of each cell of `whole`.
        """
        fewest = min(available.values())
        uneven = any(rows != fewest for rows in available.values())
        found = [each for cell in self.whole() for each in self._of(cell, available[cell], fewest, uneven)]
        return list(dict.fromkeys(found))

    def _of(self, cell: Cell, available: int, fewest: int, uneven: bool) -> Iterator[Cell]:
        """A whole cell with those that differ from it in what they are shown only."""
        about = (cell.handling, cell.answers, cell.seed)
        if self.matching is not Matching.MATCHED or not uneven:
            yield cell
        if self.matching is not Matching.FREE and uneven:
            yield Cell(*about, rows=fewest, matched=True, repaired=cell.repaired)
        for size in self.sizes:
            if size < available:
                yield Cell(*about, rows=size, repaired=cell.repaired)
        for category in self.leave_out:
            yield Cell(*about, leave_out=category, repaired=cell.repaired)

    def notes(self, available: Mapping[Cell, int]) -> Iterator[str]:
        """What of the wishes came out otherwise, in sentences."""
        even, several = len(set(available.values())) == 1, len(set(self.handlings)) > 1
        if self.matching is not Matching.FREE and even and several:
            yield "All handlings give as many training rows, so their sizes are matched as they are."
        rows = {cell.handling_name: number for cell, number in available.items()}
        for size in self.sizes:
            for name, number in rows.items():
                if size >= number:
                    yield f"{name} has {things(number, 'training row')}: there is no version of {size:,}."
