"""All SQL about jobs and the worker's sign of life."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.orm import Session

from backend.db.models import Job, WorkerBeat
from backend.db.models.base import now
from backend.db.models.jobs import JobKind, JobState
from backend.jobs.states import ACTIVE


class JobRepository:
    """Rows of jobs. A state changes only from one that is named, in one statement."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, job: Job) -> Job:
        """Store a new job and give it its id."""
        self._session.add(job)
        self._session.flush()
        return job

    def get(self, job_id: int) -> Job | None:
        """One job as it is stored now."""
        return self._session.get(Job, job_id, populate_existing=True)

    def list(
        self, project_id: int | None, kind: JobKind | None, states: Collection[JobState] | None, limit: int
    ) -> Sequence[Job]:
        """Jobs, the newest first."""
        query = select(Job).order_by(Job.id.desc()).limit(limit)
        if project_id is not None:
            query = query.where(Job.project_id == project_id)
        if kind is not None:
            query = query.where(Job.kind == kind)
        if states is not None:
            query = query.where(Job.state.in_(states))
        return self._session.scalars(query).all()

    def move(self, job_id: int, states: Collection[JobState], to: JobState, **values: Any) -> bool:
        """Change the state if it is one of these, with other columns beside.

        Returns:
            False where it was another: somebody else was faster.
        """
        changed = self._session.execute(
            update(Job)
            .where(Job.id == job_id, Job.state.in_(states))
            .values(state=to, **values)
            .execution_options(synchronize_session=False)
        )
        return cast("CursorResult[Any]", changed).rowcount == 1

    def set(self, job_id: int, **values: Any) -> JobState | None:
        """Change columns, whatever the state; gives back the state."""
        self._session.execute(
            update(Job).where(Job.id == job_id).values(**values).execution_options(synchronize_session=False)
        )
        return self._session.scalar(select(Job.state).where(Job.id == job_id))

    def in_states(self, states: Collection[JobState]) -> Sequence[tuple[int, JobKind]]:
        """Ids and kinds of the jobs in these states, the oldest first."""
        rows = self._session.execute(select(Job.id, Job.kind).where(Job.state.in_(states)).order_by(Job.id))
        return [(job_id, kind) for job_id, kind in rows]

    def ahead(self, job_id: int, kinds: Collection[JobKind]) -> int:
        """How many jobs of these kinds wait before this one or are at work."""
        waiting = (Job.state == JobState.QUEUED) & (Job.id < job_id)
        query = select(func.count()).select_from(Job)
        return self._session.scalar(query.where(Job.kind.in_(kinds), waiting | Job.state.in_(ACTIVE))) or 0

    def beat(self, host: str, pid: int, started_at: datetime) -> None:
        """Give the worker's sign of life; only the newest worker keeps a row."""
        own = (WorkerBeat.host == host, WorkerBeat.pid == pid, WorkerBeat.started_at == started_at)
        changed = self._session.execute(update(WorkerBeat).where(*own).values(beat_at=now()))
        if cast("CursorResult[Any]", changed).rowcount == 0:
            self._session.execute(delete(WorkerBeat))
            self._session.add(WorkerBeat(host=host, pid=pid, started_at=started_at, beat_at=now()))

    def forget_beat(self, host: str, pid: int) -> None:
        """Take the sign of life back: the worker ends."""
        self._session.execute(delete(WorkerBeat).where(WorkerBeat.host == host, WorkerBeat.pid == pid))

    def newest_beat(self) -> WorkerBeat | None:
        """The worker that counts."""
        return self._session.scalars(select(WorkerBeat).order_by(WorkerBeat.beat_at.desc()).limit(1)).first()
