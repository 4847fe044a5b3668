"""A teaching job carried out by the process that made it, with its row kept as the worker would."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from backend.db.engine import Database
from backend.db.models.base import now
from backend.db.models.jobs import JobState
from backend.errors import OverruleError
from backend.jobs.repository import JobRepository
from backend.jobs.states import ACTIVE
from backend.settings import Settings
from backend.teacher.client import TeacherStoppedError
from backend.teacher.results import TeachResult
from backend.teacher.run import teach

# Seconds between two signs of life in the job's row.
_BEAT = 0.5


def teach_here(
    database: Database,
    job_id: int,
    settings: Settings,
    *,
    should_stop: Callable[[], bool],
    on_progress: Callable[[int, int], None],
) -> TeachResult:
    """Carry out a job of `TeacherService.start_here`; a stop asked for in its row counts, too.

    Raises:
        OverruleError: as `teach` does; the row says why.
    """
    row = _Row(database, job_id)

    def progressed(done: int, total: int) -> None:
        row.progress = done / total if total else None
        on_progress(done, total)

    try:
        result = teach(
            database,
            job_id,
            settings,
            should_stop=lambda: should_stop() or row.is_to_stop(),
            on_progress=progressed,
        )
    except OverruleError as error:
        far = error.result if isinstance(error, TeacherStoppedError) else None
        row.end(JobState.FAILED, far, error=error.message, hint=error.hint or None)
        raise
    except BaseException as error:
        row.end(JobState.INTERRUPTED, None, error=f"{type(error).__name__}: {error}")
        raise
    row.end(JobState.STOPPED if result.stopped else JobState.SUCCEEDED, result)
    return result


class _Row:
    """The job's row: signs of life while it runs, and how it ended."""

    def __init__(self, database: Database, job_id: int) -> None:
        self._database = database
        self._job_id = job_id
        self._seen = 0.0
        self.progress: float | None = None

    def is_to_stop(self) -> bool:
        """Give a sign of life, and say whether someone asked for a stop; looks twice a second at most."""
        if time.monotonic() - self._seen < _BEAT:
            return False
        self._seen = time.monotonic()
        with self._database.write() as session:
            state = JobRepository(session).set(
                self._job_id, heartbeat_at=now(), progress=self.progress, phase="asking"
            )
        return state is JobState.STOPPING

    def end(self, state: JobState, result: TeachResult | None, **values: Any) -> None:
        """Write down how it ended."""
        with self._database.write() as session:
            JobRepository(session).move(
                self._job_id,
                ACTIVE,
                state,
                result=asdict(result) if result else None,
                finished_at=now(),
                progress=1.0 if state is JobState.SUCCEEDED else self.progress,
                phase="",
                **values,
            )
