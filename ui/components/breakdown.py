"""Where models are right on a set: over-flagging in words, and a table of its groups."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.evaluation.groups import Breakdown, Group, Share, in_words
from backend.evaluation.naming import in_a_sentence
from backend.evaluation.results import Report
from backend.evaluation.set_service import SetService
from ui.components import figures, numbers, text


def load(reports: Sequence[Report]) -> list[Breakdown]:
    """Of each of the models."""
    with get_database().read() as found:
        service = SetService(found)
        return [service.breakdown(report.evaluation_id) for report in reports]


def over_flagging(reports: Sequence[Report], found: Sequence[Breakdown]) -> None:
    """How much each model flags of what is harmless, and how much it finds of what is not."""
    for report, one in zip(reports, found, strict=True):
        name = in_a_sentence(report.name, report.kind)
        if said := in_words(one):
            text.show(text.literal(f"{name[0].upper()}{name[1:]} {said}."))


def groups(reports: Sequence[Report], found: Sequence[Breakdown]) -> None:
    """How often each model is right in each group, the worst of the first model first."""
    if not found[0].groups:
        return
    with st.expander(f"By {text.label(found[0].group_by or '')}", icon=":material/stacked_bar_chart:"):
        text.show(_table(reports, found))
        st.caption(
            "The share of posts that are all right, with its 95% interval; near-duplicates count as one. "
            "False alarms are harmless posts that are flagged, of all harmless ones; missed are violations "
            "that are not, of all violations."
        )


def _table(reports: Sequence[Report], found: Sequence[Breakdown]) -> Markup:
    heads = [found[0].group_by or "", "Posts"]
    for report in reports:
        heads += [f"{report.name} right" if len(reports) > 1 else "Right", "False alarms", "Missed"]
    by_name = [{group.name: group for group in one.groups} for one in found]
    rows = []
    for group in found[0].groups:
        of_models = [of.get(group.name) for of in by_name]
        figures_of = [cell for one in of_models for cell in _cells(one)]
        rows.append([text.literal(group.name or numbers.NOTHING), numbers.count(group.posts), *figures_of])
    counts = [place for place in range(1, len(heads)) if (place - 2) % 3]
    return figures.table(heads, rows, numbers=counts)


def _cells(group: Group | None) -> list[str | Markup]:
    if group is None:
        return [numbers.NOTHING] * 3
    right = group.right
    span = right.interval
    return [
        figures.interval(right.share, span.low if span else None, span.high if span else None),
        _of(group.false_alarms),
        _of(group.missed),
    ]


def _of(share: Share) -> str:
    return f"{share.count:,} of {share.of:,}" if share.of else numbers.NOTHING
