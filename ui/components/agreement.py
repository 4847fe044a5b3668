"""Where the teacher and people agree, category by category: the same picture on every page."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from backend.teacher.results import CategoryAgreement
from ui.components import charts
from ui.components.labels import Looks

_PARTS = {"both name it": charts.CALM, "only the teacher": charts.BAD, "only people": charts.WARN}


def by_category(categories: Iterable[CategoryAgreement], looks: Looks) -> charts.Chart:
    """A bar for each category: posts that both name, that only the teacher names, that only people name."""
    rows = [
        {"category": looks.name(each.code), "part": part, "posts": count}
        for each in categories
        for part, count in zip(_PARTS, (each.both, each.teacher_only, each.people_only), strict=True)
    ]
    return charts.stacked_bars(
        pd.DataFrame(rows), category="category", value="posts", part="part", parts=_PARTS, unit="posts"
    )
