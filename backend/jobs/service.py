"""What can be done with jobs."""

from __future__ import annotations

import os
import secrets
import socket
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from backend.db.models import Job
from backend.db.models.base import now
from backend.db.models.jobs import JobKind, JobState
from backend.errors import ConflictError, NotFoundError
from backend.jobs.payloads import Payload
from backend.jobs.processes import start_time
from backend.jobs.queue import announce
from backend.jobs.repository import JobRepository
from backend.jobs.states import ACTIVE, RESUMABLE, Lane
from backend.settings import Settings, get_settings
from training import progress

# Seconds without a sign of life after which the worker counts as dead; it gives one every two.
BEAT_LIMIT = 10.0

LOG = "log.txt"
OUTPUT = "output.txt"
"""In a job's folder: what the trainer logs, and all that its process printed."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """Whether a worker is there to carry jobs out.

    Attributes:
        since: when it was started; of a dead one, too.
        seconds_since_beat: None where there never was a worker, or it ended in order.
    """

    alive: bool
    since: datetime | None = None
    seconds_since_beat: float | None = None
    host: str | None = None
    pid: int | None = None


class JobService:
    """Jobs as pages and commands see them. The worker alone carries them out."""

    def __init__(self, session: Session, settings: Settings | None = None) -> None:
        self._session = session
        self._jobs = JobRepository(session)
        self._settings = settings or get_settings()

    def create(
        self, project_id: int, kind: JobKind, *, title: str, payload: Payload | dict[str, Any], person: str
    ) -> Job:
        """Store a job; once the transaction is committed the queue is told of it."""
        values = payload.model_dump(mode="json") if isinstance(payload, Payload) else dict(payload)
        job = self._jobs.add(
            Job(project_id=project_id, kind=kind, title=title[:200], payload=values, created_by=person)
        )
        # SQLite gives a deleted row's id again; its folder must not come with it.
        job.folder = str(self._settings.jobs / f"{job.id}-{secrets.token_hex(3)}")
        self._session.flush()
        self._announce(job)
        return job

    def get(self, job_id: int) -> Job:
        """One job.

        Raises:
            NotFoundError: there is no such job.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFoundError(f"There is no job {job_id}.", "overrule jobs list shows the jobs there are.")
        return job

    def list(
        self,
        project_id: int | None = None,
        *,
        kind: JobKind | None = None,
        states: Collection[JobState] | None = None,
        limit: int = 50,
    ) -> Sequence[Job]:
        """Jobs of a project or of all, the newest first."""
        return self._jobs.list(project_id, kind, states, limit)

    def request_stop(self, job_id: int) -> Job:
        """Ask a job to stop: one that waits is stopped at once, one at work saves what it has first.

        Raises:
            ConflictError: it has ended already.
        """
        job = self.get(job_id)
        if self._jobs.move(job_id, {JobState.QUEUED}, JobState.STOPPED, finished_at=now()):
            return self.get(job_id)
        if not self._jobs.move(job_id, ACTIVE, JobState.STOPPING):
            raise ConflictError(f"Job {job_id} has {job.state.value} already.", "There is nothing to stop.")
        return self.get(job_id)

    def resume(self, job_id: int, person: str) -> Job:
        """Queue a job again; it goes on from what it has (a checkpoint, answers, scored models).

        Raises:
            ConflictError: it waits, is at work, or has succeeded.
        """
        job = self.get(job_id)
        if not self._jobs.move(job_id, RESUMABLE, JobState.QUEUED, **_FRESH, interruptions=0):
            raise ConflictError(
                f"Job {job_id} is {job.state.value}.",
                "Only a job that stopped, failed or was cut off can resume.",
            )
        job = self.get(job_id)
        self._announce(job)
        return job

    def worker(self) -> WorkerState:
        """Whether a worker is alive: its beat is recent and, on this computer, its process there."""
        beat = self._jobs.newest_beat()
        if beat is None:
            return WorkerState(alive=False)
        seconds = max(0.0, (now() - beat.beat_at).total_seconds())
        alive = seconds <= BEAT_LIMIT
        if alive and beat.host == socket.gethostname() and beat.pid != os.getpid():
            started = start_time(beat.pid)
            # A process that began after the worker did only got the worker's id.
            alive = started is not None and started <= beat.started_at.timestamp() + 1
        return WorkerState(alive, beat.started_at, seconds, beat.host, beat.pid)

    def queue_place(self, job: Job) -> int | None:
        """1 for the job that is next; jobs at work count. None for one that does not wait."""
        if job.state is not JobState.QUEUED:
            return None
        return self._jobs.ahead(job.id, Lane.of(job.kind).kinds) + 1

    def log_tail(self, job: Job, lines: int = 200) -> str:
        """The last lines of what the job logged, then of what else its process printed."""
        if job.folder is None:
            return ""
        found: deque[str] = deque(maxlen=lines)
        for path in sorted(Path(job.folder).rglob(LOG)) + sorted(Path(job.folder).rglob(OUTPUT)):
            found.extend(_tail(path, lines))
        return "\n".join(found)

    def training_events(self, job: Job, after: int = 0) -> tuple[Sequence[dict[str, Any]], int]:
        """The trainer's events (`training.progress.FIELDS`) since an earlier call.

        Args:
            job: a fine-tune.
            after: what the earlier call gave back; 0 for all.

        Returns:
            The events, and what to give as `after` the next time.
        """
        if job.folder is None:
            return [], 0
        return progress.read(Path(job.folder) / "progress.jsonl", after)

    def _announce(self, job: Job) -> None:
        path, job_id, lane = self._settings.queue, job.id, Lane.of(job.kind)
        event.listen(self._session, "after_commit", lambda _: announce(path, job_id, lane), once=True)


_FRESH: dict[str, Any] = {
    "result": None,
    "error": None,
    "hint": None,
    "phase": "",
    "progress": None,
    "seconds_left": None,
    "pid": None,
    "pid_started": None,
    "finished_at": None,
}

_TAIL_BYTES = 256 * 1024


def _tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file that may be long and may still be written."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        return file.read().decode("utf-8", "replace").splitlines()[-lines:]
