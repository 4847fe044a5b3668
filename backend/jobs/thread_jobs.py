"""Jobs that a thread of the worker does: asking a teacher, exporting."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from backend.db.engine import Database
from backend.db.models import Job
from backend.db.models.jobs import JobKind, JobState
from backend.jobs.launcher import Launched
from backend.jobs.ledger import Ledger, Outcome, failure
from backend.jobs.payloads import ExportPayload
from backend.jobs.processes import this_process
from backend.settings import Settings

_log = logging.getLogger(__name__)

# Seconds between two signs of life of a thread's job.
_PULSE = 1.0


class ThreadJobs:
    """Carries out what needs no process of its own.

    Args:
        database: where the rows are.
        settings: the teacher, and where exports lie.
        leaving: set when the worker ends; its jobs wait again for the next.
    """

    def __init__(self, database: Database, settings: Settings, leaving: threading.Event) -> None:
        self._database = database
        self._settings = settings
        self._leaving = leaving
        self._ledger = Ledger(database)

    def carry_out(self, job: Job) -> None:
        """Do a job that was claimed. An error fails the job, never the worker."""
        pid, started = this_process()
        try:
            self._ledger.launched(job.id, Launched(str(pid), pid, started))
            with _Pulse(self._ledger, job.id, self._leaving) as pulse:
                try:
                    result = self._body(job)(job, pulse)
                except _StoppedError:
                    result = {}
            self._ended(job, pulse, result)
        except Exception as error:  # noqa: BLE001 - whatever one job does, the worker goes on
            _log.exception("job %d failed", job.id)
            self._ledger.end(job.id, failure(error))

    def _ended(self, job: Job, pulse: _Pulse, result: dict[str, Any]) -> None:
        if pulse.stop_requested:
            self._ledger.end(job.id, Outcome(JobState.STOPPED, result=result))
        elif self._leaving.is_set() and pulse.was_told:
            self._ledger.put_back(job.id)
        else:
            self._ledger.succeed(job.id, lambda session, stored: setattr(stored, "result", result))

    def _body(self, job: Job) -> Callable[[Job, _Pulse], dict[str, Any]]:
        return self._teach if job.kind is JobKind.TEACH else self._export

    def _teach(self, job: Job, pulse: _Pulse) -> dict[str, Any]:
        # The teacher's client takes long to import, and a worker should be there at once.
        from backend.teacher.run import teach

        done = teach(
            self._database,
            job.id,
            self._settings,
            should_stop=pulse.should_stop,
            on_progress=pulse.on_progress,
        )
        return dataclasses.asdict(done)

    def _export(self, job: Job, pulse: _Pulse) -> dict[str, Any]:
        from backend.curation.export import export_decisions, export_version

        payload = ExportPayload.model_validate(job.payload)
        folder = Path(job.folder or "")
        folder.mkdir(parents=True, exist_ok=True)

        def on_progress(done: int, total: int | None) -> None:
            if pulse.should_stop():
                raise _StoppedError
            pulse.on_progress(done, total)

        with self._database.read() as session:
            if payload.version_id is None:
                path = folder / f"decisions.{payload.format}"
                rows = export_decisions(session, job.project_id, payload.format, path, on_progress)
            else:
                path = folder / f"dataset.{payload.format}"
                rows = export_version(session, payload.version_id, payload.format, path, on_progress)
        return {"file": str(path), "rows": rows, "bytes": path.stat().st_size}


class _StoppedError(Exception):
    """Leaves an export in its middle; nothing half-written stays."""


class _Pulse:
    """Gives a job's sign of life and listens for requests, in a thread beside the work."""

    def __init__(self, ledger: Ledger, job_id: int, leaving: threading.Event) -> None:
        self._ledger = ledger
        self._job_id = job_id
        self._leaving = leaving
        self._over = threading.Event()
        self._begun = time.monotonic()
        self._values: dict[str, Any] = {"phase": "running"}
        self.stop_requested = False
        self.was_told = False

    def __enter__(self) -> _Pulse:
        self._thread = threading.Thread(target=self._beat, name=f"pulse-{self._job_id}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def should_stop(self) -> bool:
        """Whether a person, or the worker's end, asks the work to stop."""
        told = self.stop_requested or self._leaving.is_set()
        self.was_told = self.was_told or told
        return told

    def on_progress(self, done: int, total: int | None) -> None:
        """Note how far the work is."""
        passed = time.monotonic() - self._begun
        left = passed / done * (total - done) if done and total else None
        self._values = {
            "phase": "running",
            "progress": done / total if total else None,
            "seconds_left": left,
        }

    def _beat(self) -> None:
        while True:
            state = self._ledger.report(self._job_id, **self._values)
            self.stop_requested = self.stop_requested or state is JobState.STOPPING
            if self._over.wait(_PULSE):
                return
