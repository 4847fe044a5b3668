"""A job on a page: where it stands, why it failed, and what can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from markupsafe import Markup

from backend.db.engine import get_database
from backend.db.models import Job
from backend.db.models.base import now as present
from backend.db.models.jobs import JobState
from backend.jobs.service import BEAT_LIMIT, JobService, WorkerState
from backend.jobs.states import can_go_on
from ui.components import errors, numbers, session, text, words
from ui.components.live import UNDER_WAY

_BADGES = {
    JobState.SUCCEEDED: ("green", ":material/check:"),
    JobState.FAILED: ("red", ":material/error:"),
    JobState.INTERRUPTED: ("red", ":material/power_off:"),
    JobState.STOPPED: ("gray", ":material/stop:"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """A job with what its row does not say."""

    job: Job
    place: int | None
    worker: WorkerState

    @property
    def under_way(self) -> bool:
        """Whether it waits or works."""
        return self.job.state in UNDER_WAY

    @property
    def alone(self) -> bool:
        """Whether nobody looks after it; a command in a terminal does so without a worker."""
        if self.worker.alive:
            return False
        beat = self.job.heartbeat_at
        return beat is None or (present() - beat).total_seconds() > BEAT_LIMIT


def standing(job_id: int) -> Standing:
    """Where a job stands now."""
    with get_database().read() as found:
        service = JobService(found)
        job = service.get(job_id)
        return Standing(job, service.queue_place(job), service.worker())


def state_word(job: Job) -> Markup:
    """The state in one word, for lists."""
    look = {JobState.FAILED: "ov-bad", JobState.INTERRUPTED: "ov-bad", JobState.SUCCEEDED: "ov-good"}
    return Markup('<span class="{}">{}</span>').format(
        look.get(job.state, "ov-faint"), words.STATES[job.state]
    )


def badge(job: Job) -> str:
    """The state as a badge, in markdown."""
    colour, icon = _BADGES.get(job.state, ("blue", ":material/pending:"))
    return f":{colour}-badge[{icon} {words.STATES[job.state]}]"


def draw(now: Standing, *, doing: str = "", whole: str = "") -> None:
    """Progress while it lasts, and afterwards why it did not get to the end.

    Args:
        now: the job.
        doing: what it does now and how far that is, in markdown; its phase where not given.
        whole: what the bar is the share of, where the job does one thing after another.
    """
    if now.under_way:
        share = min(1.0, max(0.0, now.job.progress or 0.0))
        st.progress(share, text=_where(now, doing or words.phase(now.job.phase).capitalize(), whole))
        if now.alone:
            _worker_missing(now.job)
    elif now.job.state in (JobState.FAILED, JobState.INTERRUPTED):
        _failure(now.job)


def _worker_missing(job: Job) -> None:
    """Say what does not happen, and how to change that."""
    what = (
        "**No worker is running, so this waits.**"
        if job.state is JobState.QUEUED
        else "**No worker is running.** What was begun may go on, but nobody takes in what comes of it."
    )
    st.warning(
        f"{what} Start one with `overrule worker`, or start Overrule again: it brings its own.",
        icon=":material/power_off:",
    )


def buttons(now: Standing, *, stop: str = "Stop") -> None:
    """What can be asked of the job now; to go on only where that can help."""
    if now.job.state in UNDER_WAY:
        st.button(
            "Cancel" if now.job.state is JobState.QUEUED else stop,
            icon=":material/stop_circle:",
            key=f"stop-{now.job.id}",
            on_click=_stop,
            args=(now.job.id,),
            disabled=now.job.state is JobState.STOPPING,
        )
    elif can_go_on(now.job):
        st.button(
            "Resume",
            icon=":material/play_arrow:",
            key=f"resume-{now.job.id}",
            on_click=_resume,
            args=(now.job.id,),
        )


def log(job: Job) -> None:
    """The end of the log, folded."""
    fold = st.expander("Log", icon=":material/notes:", key=f"log-{job.id}", on_change="rerun")
    if fold.open:
        with get_database().read() as found:
            lines = JobService(found).log_tail(job, 200)
        fold.code(lines or "Nothing is logged yet.", language=None, wrap_lines=True, height=260)


def _where(now: Standing, doing: str, whole: str) -> str:
    job = now.job
    if job.state is JobState.QUEUED:
        before = (now.place or 1) - 1
        return f"Waiting: {numbers.things(before, 'job')} before it" if before else "Waiting: next in line"
    if job.state is JobState.STOPPING:
        return "Stopping: saving what there is"
    parts = [doing]
    if job.progress is not None:
        parts.append(f"{job.progress:.0%} {whole}".strip())
    if job.seconds_left is not None:
        parts.append(numbers.left(job.seconds_left))
    return " · ".join(parts)


def _failure(job: Job) -> None:
    if job.state is JobState.INTERRUPTED and not job.error:
        message, hint = "Its process ended without a word: the computer was perhaps switched off.", ""
    else:
        message, hint = job.error or "It failed without a reason.", job.hint or ""
    st.error(text.lines(message, hint), icon=":material/error:")


def _stop(job_id: int) -> None:
    with errors.kept(), get_database().write() as found:
        JobService(found).request_stop(job_id)


def _resume(job_id: int) -> None:
    with errors.kept(), get_database().write() as found:
        JobService(found).resume(job_id, session.person())
