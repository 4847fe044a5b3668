"""What every reader gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backend.intake.cells import UNUSABLE


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line at which it starts, counted from 1, and its cells by column."""

    line: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Broken:
    """A row whose cells cannot be told, and why."""

    line: int
    why: str


def name_columns(header: Iterable[str]) -> tuple[str, ...]:
    """A header as unique names: an empty one becomes "column 3", a second "x" becomes "x (2)"."""
    names: list[str] = []
    for number, cell in enumerate(header, 1):
        plain = " ".join(UNUSABLE.sub("\ufffd", cell).split()) or f"column {number}"
        name, again = plain, 2
        while name in names:
            name, again = f"{plain} ({again})", again + 1
        names.append(name)
    return tuple(names)
