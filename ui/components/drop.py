"""What disguises cost models: their figures on posts as written, and on the same posts disguised."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.evaluation.drop import Cost, Drop
from backend.evaluation.results import Difference, Report
from backend.evaluation.set_service import SetService
from ui.components import figures, numbers, text


def draw(reports: Sequence[Report]) -> None:
    """For each model on a robustness set what it loses, in words and by disguise."""
    with get_database().read() as found:
        service = SetService(found)
        drops = [service.drop(report.evaluation_id) for report in reports]
    if all(drop is None for drop in drops):
        return
    st.markdown("#### What disguises cost", anchors=False)
    for column, report, drop in zip(st.columns(len(reports), gap="medium"), reports, drops, strict=True):
        if drop is not None:
            with column:
                _one(report, drop)


def _one(report: Report, drop: Drop) -> None:
    st.markdown(f"**{text.label(report.name)}**")
    text.show(text.literal(drop.sentence))
    if drop.overall is not None:
        text.show(_table(drop, drop.overall, "F1" if report.yes_no else "Macro-F1"))


def _table(drop: Drop, overall: Cost, figure: str) -> Markup:
    heads = ["Disguise", "Posts", f"{figure} as written", "Disguised", "Change", "Change of AUPRC"]
    rows = [
        (
            cost.name.capitalize() or "All",
            numbers.count(cost.posts),
            numbers.score(cost.f1.a),
            numbers.score(cost.f1.b),
            _change(cost.f1),
            _change(cost.auprc),
        )
        for cost in (overall, *drop.disguises)
    ]
    return figures.table(heads, rows, numbers=(1, 2, 3), marked=(0,))


def _change(cost: Difference) -> Markup:
    """What a figure becomes when posts are disguised; a cost is a change downwards."""
    if cost.difference is None or cost.low is None or cost.high is None:
        return Markup(numbers.NOTHING)
    return figures.difference(-cost.difference, -cost.high, -cost.low)
