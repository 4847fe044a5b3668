"""Evaluating a model on demand: which models, on which sets."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from backend.db.engine import get_database
from backend.db.models.evaluation import SetOrigin
from backend.db.models.jobs import JobState
from backend.errors import InvalidInputError
from backend.evaluation.service import EvaluationService
from backend.runs.service import RunService
from ui.components import errors, session, set_facts
from ui.components.numbers import things

_MODELS, _SETS = "evaluate-models", "evaluate-sets"
_BASE, _TEACHER = "base", "teacher"
_TEST = 0
"""Stands for the project's test posts, which are frozen at the moment they are needed."""


def button(label: str = "Evaluate a model") -> None:
    """The button that opens the dialog."""
    if st.button(label, icon=":material/play_arrow:", key="evaluate"):
        _dialog()


@st.dialog("Evaluate a model", icon=":material/monitoring:")
def _dialog() -> None:
    with errors.shown():
        models, sets = _choices()
        chosen = st.multiselect(
            "Models",
            list(models),
            default=[_BASE],
            format_func=lambda each: models[each],
            key=_MODELS,
        )
        wanted = st.multiselect(
            "Sets", list(sets), default=[_TEST], format_func=lambda each: sets[each], key=_SETS
        )
        st.caption(
            "The teacher is judged on the answers that it has given; nothing is asked. Other models "
            "are scored by the worker, and the baselines beside them: logistic regression and a word list "
            "taught the same dataset version, and alt-profanity-check where it is installed."
        )
        ready = bool(chosen and wanted)
        if st.button("Evaluate", type="primary", disabled=not ready, on_click=_start, key="evaluate-start"):
            st.rerun()


def _choices() -> tuple[dict[str, str], dict[int, str]]:
    with get_database().read() as found:
        runs = RunService(found).list(session.project_id())
        others = [
            each
            for each in EvaluationService(found).sets(session.project_id())
            if each.origin is not SetOrigin.TEST_SPLIT
        ]
    models = {_BASE: "Base model", _TEACHER: "Teacher"}
    models |= {
        str(each.run.id): f"Run {each.run.number}" for each in runs if each.job.state is JobState.SUCCEEDED
    }
    sets = {_TEST: "Test posts"}
    sets |= {each.id: f"{set_facts.called(each)} ({things(each.rows, 'post')})" for each in others}
    return models, sets


def _start() -> None:
    with errors.kept():
        _evaluate(st.session_state[_MODELS], st.session_state[_SETS])


def _evaluate(models: Sequence[str], wanted: Sequence[int]) -> None:
    project_id, person = session.project_id(), session.person()
    with get_database().write() as found:
        service = EvaluationService(found)
        test = service.freeze_test_split(project_id, person).id if _TEST in wanted else _TEST
        set_ids = [test if each == _TEST else each for each in wanted]
        if _TEACHER in models:
            judged = [service.evaluate_teacher(set_id, person) for set_id in set_ids]
            if not any(judged) and list(models) == [_TEACHER]:
                raise InvalidInputError(
                    "The teacher has answered none of these posts.",
                    "Ask it on the Teacher page; test posts are asked like all others.",
                )
        runs = [int(each) for each in models if each.isdigit()]
        if runs or _BASE in models:
            service.start_scoring(
                project_id, run_ids=runs, base=_BASE in models, set_ids=set_ids, person=person
            )
