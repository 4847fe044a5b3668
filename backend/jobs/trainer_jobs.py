"""Jobs that the trainer's process does: launch it, watch it, take in what it leaves.

A job has one folder for a fine-tune and one for each model that is scored; they are done in turn.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import Job
from backend.db.models.jobs import JobKind, JobState
from backend.evaluation.baselines.predicted import predict
from backend.jobs.launcher import Launched, Launcher
from backend.jobs.ledger import Ledger, Outcome, failure
from backend.jobs.score import Scoring
from backend.jobs.states import FAILS_AGAIN
from backend.runs.fine_tune import FineTune
from backend.runs.folder import read_result
from backend.runs.service import RunService
from backend.settings import Settings
from backend.text import as_sentence
from training import progress
from training.job import Job as TrainerJob

_log = logging.getLogger(__name__)

# Seconds between two looks at a trainer.
_LOOK = 0.5
# Seconds a trainer may take to save and stop; one step of a large model is long.
_PATIENCE = 300.0
# A file's time and a process' start are told by different clocks.
_CLOCKS = 1.0
_NO_REASON = "the trainer gave no reason"


class _End(StrEnum):
    """How one folder's trainer ended."""

    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    DIED = "died"  # without a word
    LEFT = "left"  # it goes on; the worker ends


@dataclass(frozen=True, slots=True)
class _Part:
    """One folder of a job."""

    folder: Path
    index: int
    count: int


class TrainerJobs:
    """Carries out fine-tunes and scoring.

    Args:
        database: where the rows are.
        settings: where folders and models lie.
        launcher: where trainers run.
        leaving: set when the worker ends; trainers go on without it.
    """

    def __init__(
        self, database: Database, settings: Settings, launcher: Launcher, leaving: threading.Event
    ) -> None:
        self._database = database
        self._settings = settings
        self._launcher = launcher
        self._leaving = leaving
        self._ledger = Ledger(database)

    def carry_out(self, job: Job, device: str | None) -> None:
        """Do a job that was claimed, from wherever an earlier process left it."""
        self._guarded(job, lambda: self._all_parts(job, device, launch=True))

    def take_up(self, job: Job) -> None:
        """Go on with a job that another worker left, as far as its process lives or is done."""
        self._guarded(job, lambda: self._all_parts(job, None, launch=False))

    def find(self, job: Job) -> Launched | None:
        """The process that is at work on a job now."""
        found = (self._launcher.find(folder) for folder in self._written(job))
        return next((process for process in found if process is not None), None)

    def _guarded(self, job: Job, work: Callable[[], None]) -> None:
        """An error in one job fails that job with words, and never the worker."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever one job does, the worker goes on
            _log.exception("job %d failed in the worker", job.id)
            self._ledger.end(job.id, failure(error))

    def _all_parts(self, job: Job, device: str | None, *, launch: bool) -> None:
        folders = self._prepare(job) if launch else self._written(job)
        if not folders:
            self._ledger.interrupt(job.id, can_go_on=True)
            return
        for index, folder in enumerate(folders):
            part = _Part(folder, index, len(folders))
            if _is_done(folder):
                continue
            end, why = self._part(job, part, device, launch=launch)
            if end is not _End.DONE:
                self._ended(job, part, end, why)
                return
        for folder in folders:
            _predict_baselines(folder)
        self._ledger.succeed(job.id, self._collect)

    def _part(
        self, job: Job, part: _Part, device: str | None, *, launch: bool
    ) -> tuple[_End, Outcome | None]:
        """Do one folder: attach to its process where one lives, else start one."""
        process = self._launcher.find(part.folder)
        if process is None and launch:
            stored = self._ledger.read(job.id)
            if stored is None or stored.state is JobState.STOPPING:
                return _End.STOPPED, None
            process = self._launcher.start(part.folder, device)
        if process is None:
            return _end_of(part.folder, since=None)
        self._ledger.launched(job.id, process)
        if not self._watch(job, part, process):
            return _End.LEFT, None
        end, why = _end_of(part.folder, since=process.started)
        words = self._launcher.last_words(process, part.folder)
        if end is _End.DIED and words is not None:
            return _End.FAILED, Outcome(JobState.FAILED, words, "Its log has the details.")
        return end, why

    def _watch(self, job: Job, part: _Part, process: Launched) -> bool:
        """Follow a process to its end; False where the worker ends before it."""
        reader = _Reader(part)
        asked: float | None = None
        while True:
            alive = self._launcher.is_alive(process)
            state = self._ledger.report(job.id, **reader.read())
            if not alive:
                return True
            if state is JobState.STOPPING and asked is None:
                asked = time.monotonic()
                self._launcher.stop(process)
            elif asked is not None and time.monotonic() - asked > _PATIENCE:
                self._launcher.kill(process)
            if self._leaving.wait(_LOOK):
                return False

    def _ended(self, job: Job, part: _Part, end: _End, why: Outcome | None) -> None:
        if end is _End.STOPPED:
            self._ledger.end(job.id, why or Outcome(JobState.STOPPED))
        elif end is _End.FAILED and why is not None:
            self._ledger.end(job.id, why)
        elif end is _End.DIED:
            # A fine-tune that has no checkpoint would begin from nothing; that is for a person to say.
            can_go_on = job.kind is not JobKind.TRAIN or any((part.folder / "checkpoints").glob("step-*"))
            self._ledger.interrupt(job.id, can_go_on=can_go_on)

    def _prepare(self, job: Job) -> list[Path]:
        with self._database.read() as session:
            if job.kind is JobKind.SCORE:
                return Scoring(session, self._settings).prepare(job)
            folder = Path(job.folder or "")
            run = RunService(session, self._settings).of_job(job.id)
            FineTune(session, self._settings).prepare(run, folder)
            return [folder]

    def _written(self, job: Job) -> list[Path]:
        """The folders that are complete, without writing any."""
        root = Path(job.folder or "")
        found = root.glob("models/*/job.json") if job.kind is JobKind.SCORE else root.glob("job.json")
        return sorted(path.parent for path in found)

    def _collect(self, session: Session, job: Job) -> None:
        if job.kind is JobKind.SCORE:
            Scoring(session, self._settings).collect(job)
            return
        run = RunService(session, self._settings).of_job(job.id)
        FineTune(session, self._settings).collect(run, Path(job.folder or ""))


class _Reader:
    """What a folder's events say of the whole job's progress."""

    def __init__(self, part: _Part) -> None:
        self._part = part
        self._path = part.folder / "progress.jsonl"
        # What earlier processes did is part of the whole; of the time left only new events tell.
        events, self._offset = progress.read(self._path)
        self._spent = progress.seconds_spent(events)
        self._begun = time.monotonic()
        self._done = 0.0

    def read(self) -> dict[str, Any]:
        """Columns that changed since the last call."""
        events, self._offset = progress.read(self._path, self._offset)
        if not events:
            return {}
        last = events[-1]
        left = last.get("seconds_left")
        values: dict[str, Any] = {"phase": last["phase"], "seconds_left": left}
        if left is not None:
            passed = self._spent + time.monotonic() - self._begun
            # It never runs backwards, whatever the estimate does.
            self._done = max(self._done, passed / (passed + left) if passed + left > 0 else 0.0)
            values["progress"] = (self._part.index + self._done) / self._part.count
        return values


def _predict_baselines(folder: Path) -> None:
    """Score the folder's sets by the baselines, outside of any transaction: they take a while to learn.

    Where one cannot, the job is none the worse: the student stands without it, and the log says why.
    """
    try:
        predict(folder, TrainerJob.read(folder).policy.codes)
    except Exception:  # noqa: BLE001 - hours of training are not lost for a word list
        _log.exception("the baselines of %s could not be computed", folder)


def _is_done(folder: Path) -> bool:
    result = read_result(folder)
    return result is not None and result.get("status") == _End.DONE


def _end_of(folder: Path, since: float | None) -> tuple[_End, Outcome | None]:
    """What the trainer wrote of its end; what it wrote before it started anew does not count."""
    result = read_result(folder)
    if result is None:
        return _End.DIED, None
    status = _End(result["status"])
    if status is _End.DONE:
        return status, None
    if since is not None and (folder / "result.json").stat().st_mtime < since - _CLOCKS:
        return _End.DIED, None
    if status is _End.STOPPED:
        return status, Outcome(JobState.STOPPED, None, result.get("hint"))
    return status, Outcome(
        JobState.FAILED,
        as_sentence(result.get("reason") or _NO_REASON),
        result.get("hint"),
        {FAILS_AGAIN: bool(result.get(FAILS_AGAIN))},
    )
