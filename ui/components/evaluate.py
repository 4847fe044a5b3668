"""Evaluating a model on demand: which models, on which sets."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from backend.db.engine import get_database
from backend.db.models import Run
from backend.db.models.evaluation import SetOrigin
from backend.db.models.jobs import JobState
from backend.errors import InvalidInputError
from backend.evaluation.scoring_service import ScoringService
from backend.evaluation.service import EvaluationService
from backend.evaluation.sets import TEST_POSTS, called
from backend.jobs.payloads import Inference
from backend.runs.service import RunService
from ui.components import errors, session, words
from ui.components.numbers import things

_MODELS, _SETS, _ASKED = "evaluate-models", "evaluate-sets", "evaluate-asked"
_BASE, _TEACHER = "base", "teacher"
_TEST = 0
"""Stands for the project's test posts, which are frozen at the moment they are needed."""


def button(label: str = "Evaluate a model", *, preset: str | None = None) -> None:
    """The button that opens the dialog; `preset` names the set that is chosen there, else the test posts."""
    if st.button(label, icon=":material/play_arrow:", key="evaluate"):
        _dialog(preset)


@st.dialog("Evaluate a model", icon=":material/monitoring:")
def _dialog(preset: str | None) -> None:
    with errors.shown():
        models, sets, names = _choices()
        st.session_state.setdefault(_MODELS, [_BASE])
        chosen = st.multiselect("Models", list(models), format_func=lambda each: models[each], key=_MODELS)
        wanted = st.multiselect(
            "Sets", list(sets), default=[names.get(preset, _TEST)], format_func=sets.__getitem__, key=_SETS
        )
        _ask_how(chosen)
        st.caption(
            "The teacher is judged on the answers that it has given; nothing is asked. Other models "
            "are scored by the worker, and the baselines beside them: logistic regression and a word list "
            "taught the same dataset version, your own word list where you gave one (page Policy), and "
            "alt-profanity-check where it is installed."
        )
        ready = bool(chosen and wanted)
        if st.button("Evaluate", type="primary", disabled=not ready, on_click=_start, key="evaluate-start"):
            st.rerun()


def _ask_how(models: Sequence[str]) -> None:
    """Let people choose how those of the students are asked that know both ways."""
    with get_database().read() as found:
        numbers = [str(run.number) for run in _knowing_both(RunService(found), models)]
    if not numbers:
        return
    several = len(numbers) > 1
    who = f"runs {' and '.join(numbers)}" if several else f"run {numbers[0]}"
    st.radio(
        f"How to ask {who}",
        list(words.INFERENCES),
        format_func=lambda each: words.INFERENCES[each],
        key=_ASKED,
    )
    st.caption(
        f"{who.capitalize()} {'were' if several else 'was'} taught both. Writing a reason for each post "
        "takes far longer than scoring its labels. The reasons are kept among the evaluation's files; how "
        "good they are stands under “Are its reasons sound?”. Other models are asked as they learned."
    )


def _students(service: RunService) -> list[Run]:
    """The project's runs that have one."""
    return [each.run for each in service.list(session.project_id()) if each.job.state is JobState.SUCCEEDED]


def _knowing_both(service: RunService, models: Sequence[str]) -> list[Run]:
    return [run for run in _students(service) if str(run.id) in models and service.knows_both(run)]


def _choices() -> tuple[dict[str, str], dict[int, str], dict[str | None, int]]:
    """Models and sets as people choose them, and the sets by their names."""
    with get_database().read() as found:
        students = _students(RunService(found))
        others = [
            each
            for each in EvaluationService(found).sets(session.project_id())
            if each.origin is not SetOrigin.TEST_SPLIT
        ]
    models = {_BASE: "Base model", _TEACHER: "Teacher"}
    models |= {str(run.id): f"Run {run.number}" for run in students}
    sets = {_TEST: TEST_POSTS}
    sets |= {each.id: f"{called(each)} ({things(each.rows, 'post')})" for each in others}
    return models, sets, {each.name: each.id for each in others}


def _start() -> None:
    with errors.kept():
        # The question is put only where one of the models knows both ways.
        asked: Inference = st.session_state.get(_ASKED, "direct")
        _evaluate(st.session_state[_MODELS], st.session_state[_SETS], asked)


def _evaluate(models: Sequence[str], wanted: Sequence[int], asked: Inference) -> None:
    project_id, person = session.project_id(), session.person()
    with get_database().write() as found:
        service, scoring = EvaluationService(found), ScoringService(found)
        test = service.freeze_test_split(project_id, person).id if _TEST in wanted else _TEST
        set_ids = [test if each == _TEST else each for each in wanted]
        if _TEACHER in models:
            judged = [service.evaluate_teacher(set_id, person) for set_id in set_ids]
            if not any(judged) and list(models) == [_TEACHER]:
                raise InvalidInputError(
                    "The teacher has answered none of these posts.",
                    "Ask it on the Teacher page; test posts are asked like all others.",
                )
        # By itself a student that knows both ways gives the label only.
        first = [run.id for run in _knowing_both(RunService(found), models)] if asked == "reasoned" else []
        runs = [int(each) for each in models if each.isdigit() and int(each) not in first]
        base = _BASE in models
        if runs or base:
            scoring.start(project_id, run_ids=runs, base=base, set_ids=set_ids, person=person)
        if first:
            scoring.start(
                project_id, run_ids=first, base=False, set_ids=set_ids, inference=asked, person=person
            )
