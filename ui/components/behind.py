"""Models whose figures on a set are of labels that stand no more, and the step that puts that right."""

from __future__ import annotations

import streamlit as st

from backend.db.engine import get_database
from backend.db.models import EvaluationSet
from backend.evaluation.scoring_service import Behind, ScoringService
from ui.components import errors, numbers, session


def draw(shown: EvaluationSet) -> None:
    """Say that models have to be scored again on a set, and offer it; nothing where none has to be."""
    with get_database().read() as found:
        behind = ScoringService(found).behind(shown.id)
    if not behind.models:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_said(shown, behind))
        st.button(
            "Score it again" if len(behind.models) == 1 else f"Score all {len(behind.models)} again",
            icon=":material/refresh:",
            type="tertiary",
            key=f"again-{shown.id}",
            help="The worker scores them on the labels that stand now, each asked as it was before. Until "
            "that is done, these figures stay here.",
            on_click=_again,
            args=(shown.id,),
        )


def _said(shown: EvaluationSet, behind: Behind) -> str:
    models = numbers.things(len(behind.models), "model")
    if behind.changed:
        return (
            f"What people decided on test posts has changed since version {shown.number}; "
            f"{models} can be scored on what stands now."
        )
    if behind.set_id != shown.id:
        return (
            f"The set has a newer version, on which no model is evaluated yet: {models} can be scored on it."
        )
    were = "was" if len(behind.models) == 1 else "were"
    return f"{models} {were} evaluated only before labels of this set changed."


def _again(set_id: int) -> None:
    with errors.kept(), get_database().write() as found:
        ScoringService(found).start_again(set_id, session.person())
