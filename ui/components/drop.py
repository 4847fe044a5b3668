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

_KNOWN = "what disguises cost"
_FIGURES = 4
_SAID = Markup("<div><b>{}:</b> {}</div>")
_TOGETHER = Markup('<span class="ov-together">{}</span>')


def draw(reports: Sequence[Report]) -> None:
    """For each model on a robustness set what it loses, in words and by disguise."""
    drops = [_drop(report.evaluation_id) for report in reports]
    known = [(report, drop) for report, drop in zip(reports, drops, strict=True) if drop is not None]
    if not known:
        return
    st.markdown("#### What disguises cost", anchors=False)
    for report, drop in known:
        text.show(_SAID.format(report.name, drop.sentence))
    known = [(report, drop) for report, drop in known if drop.overall is not None]
    if known:
        text.show(_table(known))
        st.caption("Each model beside itself on the very same posts, as they were written and disguised.")


def _drop(evaluation_id: int) -> Drop | None:
    """Worked out once: what was evaluated stays as it is."""
    known: dict[tuple[int, int | None], Drop | None] = st.session_state.setdefault(_KNOWN, {})
    with get_database().read() as found:
        service = SetService(found)
        key = evaluation_id, service.as_written(evaluation_id)
        if key not in known or key[1] is None:
            with st.spinner("Comparing with the posts as they were written…"):
                known[key] = service.drop(evaluation_id)
    return known[key]


def _table(known: Sequence[tuple[Report, Drop]]) -> Markup:
    figure = "F1" if known[0][0].yes_no else "Macro-F1"
    heads = ["Disguise", "Posts"]
    for report, _ in known:
        name = f"{report.name}: " if len(known) > 1 else ""
        heads += [f"{name}{figure} as written", "Disguised", "Change", "AUPRC"]
    costs = [{cost.name: cost for cost in _costs(drop)} for _, drop in known]
    rows = []
    for cost in _costs(known[0][1]):
        of_models = [cell for of in costs for cell in _cells(of.get(cost.name))]
        name = _TOGETHER.format(cost.name.capitalize() or "All")
        rows.append([name, numbers.count(cost.posts), *of_models])
    right = [place for place in range(1, len(heads)) if (place - 2) % _FIGURES < 2 or place == 1]
    return figures.table(heads, rows, numbers=right, marked=(0,))


def _costs(drop: Drop) -> list[Cost]:
    return [*([drop.overall] if drop.overall else []), *drop.disguises]


def _cells(cost: Cost | None) -> list[str | Markup]:
    if cost is None:
        return [numbers.NOTHING] * _FIGURES
    return [numbers.score(cost.f1.a), numbers.score(cost.f1.b), _change(cost.f1), _change(cost.auprc)]


def _change(cost: Difference) -> Markup:
    """What becomes of a figure when posts are disguised; a cost is a change downwards."""
    if cost.difference is None or cost.low is None or cost.high is None:
        return Markup(numbers.NOTHING)
    return _TOGETHER.format(figures.difference(-cost.difference, -cost.high, -cost.low))
