"""One run: how far it is, how the loss falls, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import pandas as pd
import streamlit as st
from markupsafe import Markup

from backend.base_models import display_name
from backend.db.engine import get_database
from backend.db.models import Job, Run
from backend.db.models.jobs import JobState
from backend.evaluation.results_service import ResultsService
from backend.jobs.service import JobService
from backend.jobs.states import can_go_on
from backend.runs.views import RunSummary
from training.job import BASE, BEFORE_PREFERENCE
from training.machine import MEGABYTE
from ui.components import comparison, figures, jobs, numbers, plots, run_result, text, words
from ui.components.live import UNDER_WAY
from ui.components.pages import go
from ui.components.settings_form import described

_POINTS = 400
"""More points than pixels help nobody."""

_BEFORE = ("", "preparing")
"""A job's phases before its trainer says anything; older events are an earlier process'."""

_SCORED = {
    BASE: "the base model: ",
    BEFORE_PREFERENCE: "the student before its preference step: ",
}


def draw(run: RunSummary, change_settings: Callable[[Run], None]) -> bool:
    """Draw a run; whether it is under way.

    Args:
        run: the run.
        change_settings: puts its settings where the next run's are chosen.
    """
    now = jobs.standing(run.job.id)
    events = _events(now.job)
    if now.job.state is not run.job.state:
        # The list beside it was drawn when the page was.
        st.rerun()
    champion = " :green-badge[:material/military_tech: champion]" if run.champion else ""
    st.markdown(f"### Run {run.run.number} {jobs.badge(now.job)}{champion}", anchors=False)
    st.caption(_about(run))
    jobs.draw(now, doing=_doing(now.job, events), whole="of the whole run")
    facts = _facts(run, now.job, events)
    if facts:
        text.show(figures.facts(facts))
    if now.job.state is JobState.SUCCEEDED:
        _beside_champion(run)
    _chart(events)
    ended = _early_end(events)
    if ended is not None:
        st.caption(ended)
    succeeded = now.job.state is JobState.SUCCEEDED
    with st.container(horizontal=True):
        if succeeded:
            if st.button("See the evaluation", icon=":material/monitoring:", key=f"evaluation-{run.run.id}"):
                go("evaluation")
            run_result.download(run.run)
        jobs.buttons(now, stop="Stop and save")
        if now.job.state is JobState.FAILED and not can_go_on(now.job):
            _change_button(run.run, change_settings)
    jobs.log(now.job)
    with st.expander("Settings of this run", icon=":material/tune:"):
        text.show(figures.pairs([(name, Markup.escape(value)) for name, value in described(run.run.config)]))
    if succeeded:
        run_result.model_card(run.run)
        run_result.record(run.run)
    return now.under_way


def _change_button(run: Run, change_settings: Callable[[Run], None]) -> None:
    pressed = st.button(
        "Change settings",
        icon=":material/tune:",
        key=f"change-{run.id}",
        on_click=change_settings,
        args=(run,),
        help="Puts this run's settings into the form, to be changed there and tried again.",
    )
    if pressed:
        # The form lies outside of what is drawn again by itself.
        st.rerun()


def _doing(job: Job, events: Sequence[dict[str, Any]]) -> str:
    """What a run does now, with how far that is; empty where its events do not say it yet."""
    if not events or job.phase in _BEFORE:
        return ""
    last = events[-1]
    phase, step, steps = words.phase(last.get("phase")).capitalize(), last.get("step"), last.get("steps")
    if step is None or steps is None:
        said = last.get("message") if last.get("phase") == "scoring" else None
        return text.label(f"{phase}: {said}") if said else ""
    if last["phase"] == "scoring":
        return f"Scoring {_SCORED.get(last.get('model', ''), '')}{step:,} of {steps:,} posts"
    return f"{phase}, step {step:,} of {steps:,}"


def _beside_champion(run: RunSummary) -> None:
    """Whether it is better than the model in use, in one sentence, and whether it earns its keep."""
    with get_database().read() as found:
        service = ResultsService(found)
        both = service.with_champion(run.run.project_id, run.run.id)
        compared = None if both is None else comparison.compared(service, *both)
    if compared is not None:
        comparison.sentence(compared)
        comparison.beside_regression(compared.a_id)


def _about(run: RunSummary) -> str:
    parts = (
        f"dataset {words.version(run.version_number, run.handling)}",
        text.label(display_name(run.run.base_model)),
        run.run.preset,
        f"seed {run.run.seed}",
        f"by {text.label(run.run.created_by)}, {numbers.moment(run.run.created_at)}",
    )
    return " · ".join(parts)


def _facts(run: RunSummary, job: Job, events: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    facts = []
    if run.headline is not None:
        facts.append((numbers.score(run.headline.macro_f1), "macro-F1 on the test posts"))
        facts.append((numbers.score(run.headline.macro_auprc), "macro-AUPRC"))
    under_way = job.state in UNDER_WAY
    if under_way:
        facts += _losses(events)
    facts += _best(events)
    facts += _pace(events, over=not under_way)
    if job.started_at is not None and job.finished_at is not None:
        took = numbers.duration((job.finished_at - job.started_at).total_seconds())
        facts.append((took, "since it was resumed" if _resumed(events) else "from start to end"))
    return facts


def _losses(events: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """The losses of what is learned now, as they were told last."""
    teaching = [event for event in events if event.get("phase") != "scoring"]
    preferring = bool(teaching) and teaching[-1].get("phase") == "preferring"
    prefix, before = ("preference_", "preference ") if preferring else ("", "")
    found = (
        (_last(teaching, f"{prefix}loss"), f"{before}loss on training"),
        (_last(teaching, f"validation_{prefix}loss"), f"{before}loss on validation"),
    )
    return [(f"{loss:.2f}", what) for loss, what in found if loss is not None]


def _best(events: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """The validation whose weights would be kept now."""
    best = next((event for event in reversed(events) if event.get("best") and _is_teaching(event)), None)
    if best is None or best.get("validation_loss") is None:
        return []
    at = f"at step {best['step']:,}"
    if best.get("macro_f1") is not None:
        return [(numbers.score(best["macro_f1"]), f"best macro-F1 on validation, {at}")]
    preferred = any(event.get("preference_loss") is not None for event in events)
    when = f"{at}, before the preference step" if preferred else at
    return [(f"{best['validation_loss']:.2f}", f"lowest validation loss, {when}")]


def _is_teaching(event: dict[str, Any]) -> bool:
    """Whether an event is of the fine-tune itself: the preference step has losses of its own."""
    return event.get("phase") == "validating"


def _resumed(events: Sequence[dict[str, Any]]) -> bool:
    """Whether a run began to load more than once."""
    return [phase for phase, _ in groupby(event.get("phase") for event in events)].count("loading") > 1


def _pace(events: Sequence[dict[str, Any]], *, over: bool) -> list[tuple[str, str]]:
    """How fast the last steps were, and what they take."""
    facts = []
    scoring = not over and bool(events) and events[-1].get("phase") == "scoring"
    phase, when = "scoring" if scoring else "training", " at the end" if over else ""
    for field, what in (
        ("examples_per_second", "posts a second" if scoring else "examples a second"),
        ("learned_tokens_per_second", "learned tokens a second"),
    ):
        speed = _last(events, field, phases=(phase,))
        if speed is not None:
            facts.append((f"{speed:.2g}" if speed < 10 else numbers.count(round(speed)), what + when))
    mfu = _last(events, "mfu", phases=(phase,))
    if mfu is not None:
        facts.append((f"{mfu:.0%}", "of the GPU's peak (MFU)"))
    memory = _last(events, "memory_mb")
    # What it took at most stands in the record of a run that is over.
    if memory is not None and not over:
        facts.append((numbers.size(memory * MEGABYTE), "memory"))
    return facts


def _early_end(events: Sequence[dict[str, Any]]) -> str | None:
    """That a run ended before its last step, and why."""
    taught = (event for event in reversed(events) if event.get("phase") == "training")
    last: dict[str, Any] = next(taught, {})
    if "message" not in last:
        return None
    said = text.label(str(last["message"]))
    return f"{said[0].upper()}{said[1:]}, at step {last['step']:,} of {last['steps']:,}."


def _last(events: Sequence[dict[str, Any]], field: str, *, phases: Sequence[str] = ()) -> Any:
    for event in reversed(events):
        if event.get(field) is not None and (not phases or event.get("phase") in phases):
            return event[field]
    return None


def _events(job: Job) -> list[dict[str, Any]]:
    """All events of a run; of what was read before, only the new ones are read."""
    kept: dict[int, tuple[list[dict[str, Any]], int]] = st.session_state.setdefault("training events", {})
    known, offset = kept.get(job.id, ([], 0))
    with get_database().read() as found:
        new, end = JobService(found).training_events(job, offset)
    if end < offset or (end and not offset):
        known = []
    kept[job.id] = ([*known, *new], end)
    return kept[job.id][0]


def _chart(events: Sequence[dict[str, Any]]) -> None:
    frame = loss_frame(events)
    if len(frame) > 1:
        st.altair_chart(plots.losses(frame), width="stretch")


def loss_frame(events: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The losses as `plots.losses` draws them.

    A resumed run goes over some steps twice; what it said last counts. Of a long run the
    training loss is averaged over neighbouring steps.
    """
    training = {
        e["step"]: e["loss"] for e in events if e.get("loss") is not None and e.get("step") is not None
    }
    validation = {
        e["step"]: e["validation_loss"]
        for e in events
        if e.get("validation_loss") is not None and e.get("step") is not None
    }
    lowest = min(validation.values(), default=None)
    lines = pd.DataFrame(sorted(training.items()), columns=["step", "loss"])
    if len(lines) > _POINTS:
        lines = lines.groupby(lines.index // (len(lines) // _POINTS + 1)).mean()
    frames = [
        lines.assign(series="training", best=False),
        pd.DataFrame(sorted(validation.items()), columns=["step", "loss"]).assign(
            series="validation", best=lambda frame: frame["loss"] == lowest
        ),
    ]
    return (
        pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
        if training or validation
        else lines
    )
