"""Following a job on standard error until it ends, and what its end means for the exit code."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from backend.cli.output import messages
from backend.db.engine import Database
from backend.db.models import Job
from backend.db.models.jobs import JobKind, JobState
from backend.errors import ConflictError, OverruleError
from backend.jobs.foreground import carried_out
from backend.jobs.service import JobService
from backend.jobs.states import ENDED
from backend.settings import Settings

_LOOK = 0.5


def carry_out(database: Database, settings: Settings, job_id: int) -> Job:
    """See a job through to its end, in the worker or here, and show how it goes.

    Ctrl-C stops a job that is carried out here, at a checkpoint; a worker's goes on without us.

    Raises:
        OverruleError: it did not succeed, in its own words.
    """
    with carried_out(database, settings, job_id) as here:
        if not here:
            messages.print(f"The worker carries out job {job_id}; Ctrl-C leaves it to it.")
        with _interrupts() as interrupts:
            job = _follow(database, job_id, here=here, interrupts=interrupts)
    if job.state is JobState.SUCCEEDED:
        return job
    if job.state in ENDED:
        raise OverruleError(
            job.error or f"Job {job.id} has {job.state.value}.",
            job.hint or f"Go on with: overrule jobs resume {job.id}.",
        )
    raise OverruleError(f"Job {job.id} goes on.", f"See it with: overrule jobs show {job.id}.")


def _follow(database: Database, job_id: int, *, here: bool, interrupts: _Interrupts) -> Job:
    """Show a job until it ends, or until nobody wants to see it any more."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[about]}"))
    asked = False
    with Progress(*columns, TimeElapsedColumn(), console=messages, transient=True) as bar:
        line = bar.add_task("waiting", total=1.0, about="")
        while True:
            with database.read() as session:
                jobs = JobService(session)
                job = jobs.get(job_id)
                events = jobs.training_events(job)[0] if job.kind is JobKind.TRAIN else []
                place = jobs.queue_place(job)
            _show(bar, line, job, place, events[-1] if events else {})
            if job.state in ENDED or interrupts.count > 1 or (interrupts.count and not here):
                return job
            if interrupts.count and not asked:
                asked = True
                _ask_to_stop(database, job_id)
            time.sleep(_LOOK)


def _show(bar: Progress, line: TaskID, job: Job, place: int | None, event: dict[str, Any]) -> None:
    words = job.phase or job.state.value
    if place is not None:
        words = f"waiting, place {place}"
    about = [f"step {event['step']}/{event['steps']}"] if "step" in event and "steps" in event else []
    losses = (("loss", event.get("loss")), ("preference loss", event.get("preference_loss")))
    about += [f"{name} {loss:.3f}" for name, loss in losses if loss is not None]
    if job.seconds_left is not None:
        about.append(f"{job.seconds_left:.0f} s left")
    bar.update(line, description=words, completed=job.progress or 0.0, about=" · ".join(about))


def _ask_to_stop(database: Database, job_id: int) -> None:
    try:
        with database.write() as session:
            JobService(session).request_stop(job_id)
    except ConflictError:
        # It ended just now; the next look shows how.
        return
    messages.print("It saves and stops. Ctrl-C again leaves it to the next worker.")


class _Interrupts:
    """How often Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


@contextmanager
def _interrupts() -> Iterator[_Interrupts]:
    """Count Ctrl-C instead of dying of it; only a main thread can."""
    counter = _Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield counter
        return
    before = signal.signal(signal.SIGINT, counter)
    try:
        yield counter
    finally:
        signal.signal(signal.SIGINT, before)
