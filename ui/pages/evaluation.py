"""Evaluation: is the student better than the base model, the teacher and the last run, and where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from backend.db.engine import get_database
from backend.db.models import EvaluationSet
from backend.db.models.evaluation import ModelKind
from backend.db.models.jobs import JobKind
from backend.evaluation.results import Comparison, ModelRow, Report
from backend.evaluation.results_service import ResultsService
from backend.evaluation.service import EvaluationService
from backend.evaluation.sets import called
from backend.jobs.service import JobService
from backend.runs.service import RunService
from ui.components import (
    behind,
    breakdown,
    comparison,
    differences,
    drop,
    errors,
    evaluate,
    jobs,
    labels,
    measures,
    numbers,
    outcomes,
    preference,
    session,
    set_facts,
    text,
)
from ui.components.beginning import no_project
from ui.components.empty import empty
from ui.components.heading import heading
from ui.components.live import UNDER_WAY, follow
from ui.components.pages import go

# So many evaluations that are under way are shown; a study may have many.
_JOBS = 3

_TABS = "evaluation-set"


@dataclass(frozen=True, slots=True)
class Scored:
    """A set with the models that were scored on it."""

    set: EvaluationSet
    rows: list[ModelRow]

    @property
    def yes_no(self) -> bool:
        """Whether the set knows only yes and no."""
        return self.set.positive_labels is not None

    @property
    def title(self) -> str:
        """What the set is called on its tab."""
        return text.label(called(self.set))


def page() -> None:
    """Draw the page."""
    sets = _sets(session.project_id())
    with heading("Evaluation"):
        if any(scored.rows for scored in sets):
            evaluate.button(preset=_open(sets).set.name)
    _scoring()
    if not any(scored.rows for scored in sets):
        _nothing_yet()
        return
    tabs = st.tabs([scored.title for scored in sets], key=_TABS, on_change="rerun")
    for tab, scored in zip(tabs, sets, strict=True):
        if tab.open:
            with tab:
                _one_set(scored)


def _open(sets: Sequence[Scored]) -> Scored:
    """The set whose tab is open."""
    title = st.session_state.get(_TABS)
    return next((scored for scored in sets if scored.title == title), sets[0])


def _sets(project_id: int) -> list[Scored]:
    with get_database().read() as found:
        sets, results = EvaluationService(found), ResultsService(found)
        return [Scored(each, results.table(project_id, each.id)) for each in sets.shown_sets(project_id)]


def _nothing_yet() -> None:
    pressed = empty(
        "No model is evaluated yet",
        "Once a student is trained, it stands here beside the base model and the teacher, category by "
        "category. The base model and the teacher can be evaluated before that.",
        icon=":material/monitoring:",
        action="Train a student",
        key="evaluation",
    )
    if pressed:
        go("training")
    with st.container(horizontal_alignment="center"):
        evaluate.button("Evaluate base model or teacher")


def _scoring() -> None:
    """The scoring jobs that last, and the newest where it failed."""
    with get_database().read() as found:
        service, project_id = JobService(found), session.project_id()
        newest = service.list(project_id, kind=JobKind.SCORE, limit=1)
        last = service.list(project_id, kind=JobKind.SCORE, states=UNDER_WAY)[::-1]
    shown = [*last[:_JOBS], *(job for job in newest if job.finished_at is not None and job.error is not None)]
    if not shown:
        return

    def draw() -> bool:
        found = [jobs.standing(job.id) for job in shown]
        for now in found:
            with st.container(border=True, key=f"ov-scoring-{now.job.id}"):
                st.markdown(f"**{text.label(now.job.title)}**")
                jobs.draw(now)
                jobs.buttons(now)
        if len(last) > _JOBS:
            st.caption(f"{numbers.things(len(last) - _JOBS, 'more evaluation')} after these.")
        # As soon as one has ended, the page has its figures to show.
        return all(now.under_way for now in found[: len(last)])

    follow(draw, under_way=bool(last))


def _one_set(scored: Scored) -> None:
    set_facts.draw(scored.set, evaluated=bool(scored.rows))
    if not scored.rows:
        empty(
            "No model is evaluated on this set",
            f"It holds {numbers.things(scored.set.rows, 'post')}. Choose “Evaluate a model” above.",
            icon=":material/monitoring:",
            key=f"set-{scored.set.id}",
        )
        return
    comparison.models_table(scored.rows, yes_no=scored.yes_no)
    behind.draw(scored.set)
    if len(scored.rows) == 1:
        _alone(scored.rows[0])
        return
    first, second = _choose_two(scored.rows)
    if first.evaluation_id == second.evaluation_id:
        st.caption("Choose two different models to see them side by side.")
        _alone(first)
        return
    with get_database().read() as found:
        service = ResultsService(found)
        compared = comparison.compared(service, first.evaluation_id, second.evaluation_id)
        reports = [service.report(first.evaluation_id), service.report(second.evaluation_id)]
        looks = labels.load(found, session.project_id())
    _verdict(compared, (first, second), reports)
    _beside_regression((first, second))
    preference.gained((first, second))
    if any(one.f1.difference is not None for one in compared.categories):
        with st.expander("What they differ by in each category", icon=":material/compare_arrows:"):
            differences.draw(compared, looks)
    _side_by_side(reports, looks)
    outcomes.draw(reports, compared, looks)


def _alone(row: ModelRow) -> None:
    with get_database().read() as found:
        report = ResultsService(found).report(row.evaluation_id)
        looks = labels.load(found, session.project_id())
    _beside_regression((row,))
    preference.gained((row,))
    _side_by_side([report], looks)
    outcomes.draw([report], None, looks)


def _beside_regression(rows: Sequence[ModelRow]) -> None:
    for row in rows:
        if row.kind is ModelKind.RUN:
            comparison.beside_regression(row.evaluation_id)


def _choose_two(rows: Sequence[ModelRow]) -> tuple[ModelRow, ModelRow]:
    """The newest student beside the champion, unless chosen otherwise."""
    by_id = {row.evaluation_id: row for row in rows}
    runs = sorted(
        (row for row in rows if row.run_id is not None),
        key=lambda row: (-(row.run_id or 0), row.inference is not None),
    )
    first = runs[0] if runs else rows[0]
    others = sorted(
        (row for row in rows if row is not first),
        key=lambda row: (not row.champion, row.kind is not ModelKind.BASE),
    )
    ids = list(by_id)
    with st.container(horizontal=True, vertical_alignment="bottom", key="ov-choose-two"):
        chosen = [
            st.selectbox(
                name,
                ids,
                index=ids.index(default.evaluation_id),
                format_func=lambda each: comparison.in_a_list(by_id[each]),
                key=f"compare-{name}-{rows[0].set_id}",
                width=360,
            )
            for name, default in (("Compare", first), ("with", others[0]))
        ]
    return by_id[chosen[0]], by_id[chosen[1]]


def _verdict(compared: Comparison, chosen: tuple[ModelRow, ModelRow], reports: Sequence[Report]) -> None:
    """What follows, and the one step that a person can take on it."""
    words, step = st.columns((4, 1), vertical_alignment="center")
    with words:
        comparison.sentence(compared)
    challenger = next((row for row in chosen if comparison.is_challenger(row)), None)
    if challenger is not None:
        with step.container(horizontal_alignment="right"):
            look: Literal["primary", "secondary"] = (
                "primary" if comparison.is_better(challenger.evaluation_id, compared) else "secondary"
            )
            if st.button(f"Promote {challenger.name}", type=look, icon=":material/military_tech:"):
                _confirm(challenger, compared, reports)
    comparison.headline(compared)
    for note in compared.notes:
        st.caption(text.label(note))


def _side_by_side(reports: Sequence[Report], looks: labels.Looks) -> None:
    for report in reports:
        measures.notes(report)
    parts = breakdown.load(reports)
    breakdown.over_flagging(reports, parts)
    drop.draw(reports)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("#### F1 by category", anchors=False)
        measures.bars(reports)
    with right:
        st.markdown("#### Precision and recall", anchors=False)
        measures.curves(reports, looks)
    st.markdown("#### Decided without a person", anchors=False)
    measures.alone(reports)
    with st.expander("Can its probabilities be taken at their word?", icon=":material/balance:"):
        measures.reliability(reports, looks)
    if any(report.metrics.reasons for report in reports):
        with st.expander("Are its reasons sound?", icon=":material/format_quote:"):
            measures.reasons(reports)
    st.markdown("#### Confusion", anchors=False)
    measures.several_categories(reports)
    for column, report in zip(st.columns(len(reports), gap="medium"), reports, strict=True):
        with column:
            st.markdown(f"**{text.label(report.name)}**")
            measures.confusion(report)
    breakdown.groups(reports, parts)
    with st.expander("All figures by category", icon=":material/table_rows:"):
        for report in reports:
            st.markdown(f"**{text.label(report.name)}**")
            measures.category_table(report, looks)


@st.dialog("Make it the champion?", icon=":material/military_tech:")
def _confirm(challenger: ModelRow, compared: Comparison, reports: Sequence[Report]) -> None:
    with errors.shown():
        text.show(text.literal(compared.sentence))
        breakdown.over_flagging(reports, breakdown.load(reports))
        comparison.beside_regression(challenger.evaluation_id)
        name = challenger.name
        st.markdown(
            f"**{name}** becomes the model in use. Later runs are compared with it, and “Retrain” takes "
            "its settings."
        )
        with st.container(horizontal=True):
            inside = name[:1].lower() + name[1:]
            pressed = st.button(
                f"Promote {inside}",
                type="primary",
                key="promote-confirmed",
                on_click=_promote,
                args=(challenger.run_id,),
            )
            if pressed or st.button("Not now"):
                st.rerun()


def _promote(run_id: int | None) -> None:
    with errors.kept(), get_database().write() as found:
        RunService(found).promote(session.project_id(), run_id, person=session.person())


if session.project() is None:
    no_project("Evaluation")
else:
    page()
