"""Training: choose a dataset version, press one button, and watch the loss fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st
from markupsafe import Markup

from backend.base_models import display_name
from backend.curation.service import CurationService
from backend.db.engine import get_database
from backend.db.models import DatasetVersion, EvaluationSet, Run
from backend.db.models.evaluation import SetOrigin
from backend.db.models.jobs import JobState
from backend.errors import InvalidInputError
from backend.evaluation.service import EvaluationService
from backend.evaluation.sets import called
from backend.runs.choices import nearest_preset
from backend.runs.service import RunService
from backend.runs.views import RunSummary
from backend.settings import get_settings
from training.job import PRESET_NEEDS, PRESETS, Config
from ui.components import (
    errors,
    estimate,
    jobs,
    numbers,
    preference,
    run_card,
    session,
    settings_form,
    text,
    words,
)
from ui.components.beginning import no_project
from ui.components.empty import empty
from ui.components.heading import heading
from ui.components.live import UNDER_WAY, follow
from ui.components.pages import go
from ui.components.rows import Row, faint, opened
from ui.components.settings_form import Form

_PRESETS = {"quick": "Quick", "standard": "Standard", "thorough": "Thorough", "large": "Large"}
_OTHER = "other"
_CHOSEN = "chosen run"
_PRESET = "preset"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a click on the button would start."""

    version: DatasetVersion
    base_model: str
    preset: str
    config: Config
    set_ids: tuple[int, ...]


def page() -> None:
    """Draw the page."""
    heading("Training")
    with get_database().read() as found:
        versions = CurationService(found).versions(session.project_id())
        sets = EvaluationService(found).sets(session.project_id())
        runs = RunService(found).list(session.project_id())
    if not versions:
        _no_version()
        return
    with st.container(key="ov-training"):
        left, right = st.columns((5, 8), gap="large")
    with left, st.container(border=True), errors.shown():
        _choose(versions, sets, runs)
    with right:
        _runs(runs)


def _no_version() -> None:
    pressed = empty(
        "Nothing to learn from yet",
        "A student learns from a dataset version: a frozen set of posts with their labels and reasons. "
        "Build the first one, then train on it here.",
        icon=":material/model_training:",
        action="Build a dataset version",
        key="training",
    )
    if pressed:
        st.session_state["dataset-tab"] = "Versions"
        go("dataset")


def _choose(
    versions: Sequence[DatasetVersion], sets: Sequence[EvaluationSet], runs: Sequence[RunSummary]
) -> None:
    """What to train, what it will take, and the button."""
    by_id = {version.id: version for version in versions}
    version = by_id[
        st.selectbox(
            "Dataset version", list(by_id), format_func=lambda each: _version_name(by_id[each]), key="version"
        )
    ]
    base_model = _base_model()
    of_base_model = st.empty()
    # Not as the box's own default: another run's preset may be put there.
    st.session_state.setdefault(_PRESET, "quick")
    preset = (
        st.segmented_control(
            "Preset",
            list(_PRESETS),
            format_func=_PRESETS.__getitem__,
            required=True,
            key=_PRESET,
            on_change=settings_form.forget,
            width="stretch",
        )
        or "quick"
    )
    st.caption(f"{_preset_words(PRESETS[preset])} {PRESET_NEEDS.get(preset, '')}".strip())
    set_ids = _sets(sets)
    with st.expander("Settings", icon=":material/tune:", expanded=settings_form.filled(preset) is not None):
        form = settings_form.settings_form(preset)
        preference.switch(form, preset, version.id)
    finished = sum(run.job.state is JobState.SUCCEEDED for run in runs)
    possible = form.config is not None
    with errors.shown():
        try:
            possible = estimate.draw(version.id, form, base_model, set_ids, finished=finished)
        except InvalidInputError as error:
            of_base_model.error(text.lines(error.message, error.hint), icon=":material/error:")
            possible = False
    if form.wrong:
        st.caption(_waits_for(form))
    if form.config is None:
        return
    st.button(
        "Train",
        type="primary",
        icon=":material/model_training:",
        width="stretch",
        on_click=_start,
        args=(Choice(version, base_model, preset, form.config, set_ids),),
        disabled=not possible,
        key="train",
    )


def _waits_for(form: Form) -> str:
    """Which settings must change first: their boxes may be folded away."""
    named = ", ".join(dict.fromkeys(form.names[setting] for setting in form.wrong))
    return f":material/block: To be changed in “Settings” first: {text.label(named)}."


def _change_settings(run: Run) -> None:
    """Fill the boxes with what a run was started with; the page is drawn anew after it."""
    config = Config.model_validate(run.config)
    preset = run.preset if run.preset in PRESETS else nearest_preset(config)
    settings_form.fill(preset, config)
    offered = _base_models()
    named = run.base_model not in offered
    values = {
        "version": run.dataset_version_id,
        "base-model": _OTHER if named else run.base_model,
        "base-model-name": run.base_model if named else "",
        _PRESET: preset,
        "preference": config.preference is not None,
    }
    for key, value in values.items():
        st.session_state[key] = value


def _base_models() -> list[str]:
    return list(dict.fromkeys((get_settings().base_model, "default")))


def _base_model() -> str:
    chosen = st.selectbox(
        "Base model",
        [*_base_models(), _OTHER],
        format_func=lambda each: "Another one …" if each == _OTHER else display_name(each),
        key="base-model",
    )
    if chosen != _OTHER:
        return chosen
    named = st.text_input(
        "Its folder, or its name on the Hugging Face hub",
        placeholder="organisation/model",
        key="base-model-name",
    )
    return (named or "").strip() or get_settings().base_model


def _version_name(version: DatasetVersion) -> str:
    rows = numbers.things(sum(version.counts["rows"].values()), "row")
    return f"Version {version.number} · {words.handling(version.handling)} · {rows}"


def _preset_words(config: Config) -> str:
    answers = {
        "direct": "labels only",
        "reasoned": "reasons and then labels",
        "both": "labels, and reasons with labels",
        "explained": "labels and then reasons",
    }
    passes = numbers.things(config.epochs, "pass", "passes")
    return f"{passes} over the rows, learning {answers[config.answers]}; LoRA rank {config.rank}."


def _sets(sets: Sequence[EvaluationSet]) -> tuple[int, ...]:
    others = {each.id: each for each in sets if each.origin is not SetOrigin.TEST_SPLIT}
    if not others:
        return ()
    chosen = st.multiselect(
        "Evaluate on the test posts and on",
        list(others),
        default=list(others),
        format_func=lambda each: f"{called(others[each])} ({others[each].rows:,})",
        key="sets",
    )
    return tuple(chosen)


def _start(choice: Choice) -> None:
    with errors.kept(), get_database().write() as found:
        run = RunService(found).start(
            session.project_id(),
            version_id=choice.version.id,
            preset=choice.preset,
            config=choice.config,
            base_model=choice.base_model,
            set_ids=choice.set_ids,
            person=session.person(),
        )
        st.session_state[_CHOSEN] = run.id


def _runs(runs: Sequence[RunSummary]) -> None:
    if not runs:
        empty(
            "No run yet",
            "“Train” starts the first one. It goes on when this page is closed, and can be stopped and "
            "resumed without losing what was learned.",
            icon=":material/model_training:",
            key="runs",
        )
        return
    by_id = {run.run.id: run for run in runs}
    # One that is at work says more than a newer one that waits for it.
    at_work = next((run for run in runs if run.job.state in (JobState.STARTING, JobState.RUNNING)), runs[0])
    chosen = by_id.get(st.session_state.get(_CHOSEN, 0), at_work)
    follow(lambda: run_card.draw(chosen, _change_settings), under_way=chosen.job.state in UNDER_WAY)
    if len(runs) > 1:
        st.markdown("#### All runs", anchors=False)
        pressed = opened(
            [_row(run) for run in runs],
            heads=["Run", "Learned from", "State", "Macro-F1"],
            widths="5rem minmax(0, 1fr) 7rem 5rem",
            key="runs",
            chosen=chosen.run.id,
        )
        if pressed is not None:
            st.session_state[_CHOSEN] = pressed
            st.rerun()


def _row(run: RunSummary) -> Row:
    champion = Markup(' <span class="ov-tag">champion</span>') if run.champion else Markup("")
    learned = f"{words.version(run.version_number, run.handling)}, {run.run.preset}"
    return Row(
        run.run.id,
        (
            Markup("Run {}").format(run.run.number),
            faint(learned) + champion,
            jobs.state_word(run.job),
            Markup(numbers.score(run.headline.macro_f1 if run.headline else None)),
        ),
        name=f"Show run {run.run.number}",
    )


if session.project() is None:
    no_project("Training")
else:
    page()
