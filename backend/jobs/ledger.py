"""What the worker writes into a job's row while it carries it out; each call is one transaction."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import Job
from backend.db.models.base import now
from backend.db.models.jobs import JobState
from backend.errors import OverruleError
from backend.jobs.launcher import Launched
from backend.jobs.repository import JobRepository
from backend.jobs.states import ACTIVE, FAILS_AGAIN

_log = logging.getLogger(__name__)

# Seconds between tries to write how a job ended, where the database cannot be written.
_TRIES = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended."""

    state: JobState
    error: str | None = None
    hint: str | None = None
    result: dict[str, Any] | None = None


Collect = Callable[[Session, Job], None]


class Ledger:
    """The worker's pen. A state changes only from where it was left."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, job_id: int) -> Job | None:
        """Take a waiting job; None where it waits no more. Nobody can take it twice."""
        with self._database.write() as session:
            jobs = JobRepository(session)
            taken = jobs.move(
                job_id,
                {JobState.QUEUED},
                JobState.STARTING,
                phase="preparing",
                started_at=now(),
                heartbeat_at=now(),
                finished_at=None,
                pid=None,
                pid_started=None,
            )
            return jobs.get(job_id) if taken else None

    def read(self, job_id: int) -> Job | None:
        """The row as it is now."""
        with self._database.read() as session:
            return JobRepository(session).get(job_id)

    def launched(self, job_id: int, process: Launched) -> None:
        """Note the process; a job that was asked to stop meanwhile stays so."""
        with self._database.write() as session:
            jobs = JobRepository(session)
            jobs.set(job_id, pid=process.pid, pid_started=process.started, heartbeat_at=now())
            jobs.move(job_id, {JobState.STARTING}, JobState.RUNNING)

    def report(self, job_id: int, **values: Any) -> JobState | None:
        """Give the job's sign of life with what is known of its progress; gives back its state.

        A database that cannot be written now is no reason to give a job up.
        """
        try:
            with self._database.write() as session:
                return JobRepository(session).set(job_id, heartbeat_at=now(), **values)
        except SQLAlchemyError:
            _log.warning("job %d: its progress could not be stored", job_id, exc_info=True)
            return None

    def succeed(self, job_id: int, collect: Collect) -> bool:
        """End a job well and take its results in, both or neither, and once.

        Returns:
            False where it has ended already.
        """
        with self._database.write() as session:
            jobs = JobRepository(session)
            values = _ENDED | {"progress": 1.0, "finished_at": now(), "error": None, "hint": None}
            if not jobs.move(job_id, ACTIVE, JobState.SUCCEEDED, **values):
                return False
            job = jobs.get(job_id)
            if job is not None:
                collect(session, job)
            return True

    def end(self, job_id: int, outcome: Outcome) -> None:
        """End a job that did not succeed; tried again where the database cannot be written."""
        for wait in _TRIES:
            try:
                with self._database.write() as session:
                    values = _ENDED | {"finished_at": now(), "error": outcome.error, "hint": outcome.hint}
                    if outcome.result is not None:
                        values["result"] = outcome.result
                    JobRepository(session).move(job_id, ACTIVE, outcome.state, **values)
                return
            except SQLAlchemyError:
                _log.warning("job %d: how it ended could not be stored", job_id, exc_info=True)
                time.sleep(wait)

    def interrupt(self, job_id: int, *, can_go_on: bool) -> bool:
        """Note that a job's process died without a word.

        What can go on from what it has is queued again by itself, once: a process that dies
        twice will most likely die a third time, and that is for a person to look at.

        Returns:
            Whether it waits again.
        """
        with self._database.write() as session:
            jobs = JobRepository(session)
            job = jobs.get(job_id)
            if job is None or job.state not in ACTIVE:
                return False
            if job.state is JobState.STOPPING:
                jobs.move(job_id, ACTIVE, JobState.STOPPED, **_ENDED, finished_at=now())
                return False
            times = job.interruptions + 1
            again = can_go_on and times == 1
            jobs.move(
                job_id,
                ACTIVE,
                JobState.QUEUED if again else JobState.INTERRUPTED,
                **_ENDED,
                interruptions=times,
                finished_at=None if again else now(),
                error=None if again else _DIED,
                hint=None if again else "Look at its log, then resume it: it goes on from what it has.",
            )
            return again

    def put_back(self, job_id: int) -> None:
        """Let a job wait again because the worker ends; a job asked to stop is stopped instead."""
        with self._database.write() as session:
            jobs = JobRepository(session)
            if not jobs.move(job_id, {JobState.STOPPING}, JobState.STOPPED, **_ENDED, finished_at=now()):
                jobs.move(job_id, ACTIVE, JobState.QUEUED, **_ENDED)


_ENDED: dict[str, Any] = {"phase": "", "seconds_left": None, "pid": None, "pid_started": None}

_DIED = (
    "Its process died without a word: most likely the memory ran out, somebody ended it, "
    "or the computer was switched off."
)


def failure(error: Exception) -> Outcome:
    """What went wrong, in words; an error that nobody foresaw names its kind."""
    if isinstance(error, OverruleError):
        return Outcome(JobState.FAILED, error.message, error.hint or None)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Outcome(
            JobState.FAILED,
            f"The disk is full{_place(error)}.",
            "Free some space, then resume the job: nothing that was saved is lost.",
        )
    if isinstance(error, OSError):
        return Outcome(
            JobState.FAILED, f"{error.strerror or error}{_place(error)}.", "Mend this, then resume the job."
        )
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return Outcome(
            JobState.FAILED,
            f"What the job was told cannot be used: {where}: {first['msg']}.",
            result={FAILS_AGAIN: True},
        )
    return Outcome(JobState.FAILED, f"{type(error).__name__}: {error}", "The worker's log has the details.")


def _place(error: OSError) -> str:
    return f" ({error.filename})" if error.filename else ""
