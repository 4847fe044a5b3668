"""Lists whose rows open something: one line of HTML each, with a button laid over it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import streamlit as st
from markupsafe import Markup

from ui.components import text

_ROW = Markup('<div class="{}" style="grid-template-columns:{}">{}</div>')
_HEAD = Markup('<div class="ov-row ov-row-head" style="grid-template-columns:{}">{}</div>')
_CELL = Markup('<div class="ov-cell">{}</div>')


@dataclass(frozen=True, slots=True)
class Row:
    """One row: what it stands for, its cells, and what its button is called when read aloud."""

    id: int
    cells: Sequence[Markup]
    name: str


def one_line(words: str, *, blur: bool = False) -> Markup:
    """Somebody's text in one line, cut off where the column ends."""
    look = "ov-line ov-blur" if blur else "ov-line"
    return Markup('<span class="{}" dir="auto">{}</span>').format(look, text.literal(" ".join(words.split())))


def faint(words: str) -> Markup:
    """Words of lesser weight."""
    return Markup('<span class="ov-faint">{}</span>').format(words)


def opened(
    rows: Iterable[Row], *, heads: Sequence[str], widths: str, key: str, chosen: int | None = None
) -> int | None:
    """Draw the rows under their headings and tell which one was pressed in this run.

    Args:
        rows: what to list.
        heads: a heading for each column.
        widths: the columns as CSS grid tracks ("minmax(0, 1fr) 9rem").
        key: tells two lists on one page apart.
        chosen: the row that is open already.
    """
    pressed = None
    with st.container(key=f"ov-rows-{key}", gap=None):
        text.show(_HEAD.format(widths, _cells(map(Markup.escape, heads))))
        for row in rows:
            with st.container(key=f"ov-open-{key}-{row.id}", gap=None):
                look = "ov-row ov-row-chosen" if row.id == chosen else "ov-row"
                text.show(_ROW.format(look, widths, _cells(row.cells)))
                if st.button(text.label(row.name), key=f"{key}-open-{row.id}", width="stretch"):
                    pressed = row.id
    return pressed


def _cells(cells: Iterable[Markup]) -> Markup:
    return Markup("").join(_CELL.format(cell) for cell in cells)
