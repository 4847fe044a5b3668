"""Charts that look alike on every page: titled axes with units, no decoration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from ui.components.labels import Looks

Chart = Any
"""Altair's charts; the library's own types do not say more."""

# Told apart by hue and by lightness, on light and on dark ground.
GOOD, BAD, WARN, CALM, REST = "#2b8a62", "#c2483d", "#c08a1e", "#3d86b8", "#8a939b"


def by_category(looks: Looks, codes: Sequence[str]) -> alt.Scale:
    """The scale that draws each category, by name, in its own colour."""
    return alt.Scale(
        domain=[looks.name(code) for code in codes], range=[looks.colour(code) for code in codes]
    )


def stacked_bars(
    frame: pd.DataFrame,
    *,
    category: str,
    value: str,
    part: str,
    parts: dict[str, str],
    unit: str,
    height_each: int = 30,
) -> Chart:
    """Horizontal bars, one a category, made up of parts in the order and colours of `parts`.

    Args:
        frame: one row for each category and part.
        category: the column that names the bar.
        value: the column with the length.
        part: the column that names the part.
        parts: each part's colour, in drawing order.
        unit: what is counted, as the axis' title.
        height_each: pixels for one bar; legend and axis come on top.
    """
    order = {name: position for position, name in enumerate(parts)}
    frame = frame.assign(order=frame[part].map(order))
    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X(f"{value}:Q", title=unit, axis=alt.Axis(format=",d", tickMinStep=1)),
            y=alt.Y(f"{category}:N", title=None, sort=None, axis=alt.Axis(labelLimit=220)),
            color=alt.Color(
                f"{part}:N",
                title=None,
                scale=alt.Scale(domain=list(parts), range=list(parts.values())),
                legend=alt.Legend(orient="top", labelLimit=300),
            ),
            order=alt.Order("order:Q"),
            tooltip=[f"{category}:N", f"{part}:N", alt.Tooltip(f"{value}:Q", title=unit, format=",d")],
        )
        .properties(height=max(1, frame[category].nunique()) * height_each + 150)
    )


def lines(
    frame: pd.DataFrame, *, x: str, y: str, series: str, colours: dict[str, str], x_title: str, y_title: str
) -> Chart:
    """Lines over a measured axis, one a series, told apart by colour and by dash."""
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=28))
        .encode(
            x=alt.X(f"{x}:Q", title=x_title),
            y=alt.Y(f"{y}:Q", title=y_title, scale=alt.Scale(zero=False)),
            color=alt.Color(f"{series}:N", title=None, scale=scale, legend=alt.Legend(orient="top")),
            strokeDash=alt.StrokeDash(f"{series}:N", title=None, legend=None, sort=list(colours)),
            tooltip=[
                f"{series}:N",
                alt.Tooltip(f"{x}:Q", title=x_title),
                alt.Tooltip(f"{y}:Q", title=y_title, format=".3f"),
            ],
        )
    )
