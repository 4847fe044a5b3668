"""The worker: one process that carries jobs out and finds again what an earlier one left.

Whatever it does it does from the rows. Every few seconds it looks for waiting rows that the queue
does not know, and for rows at work that are in nobody's hands: those it takes up where their
process lives or has finished, and notes as interrupted where it died. So it makes no difference
at which moment a worker is killed.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from backend.db.engine import Database
from backend.db.models.base import now
from backend.db.models.jobs import JobState
from backend.errors import ConflictError
from backend.jobs.devices import Place, Slots
from backend.jobs.launcher import Launcher
from backend.jobs.launchers import get_launcher
from backend.jobs.ledger import Ledger
from backend.jobs.processes import is_alive
from backend.jobs.queue import JobQueue
from backend.jobs.repository import JobRepository
from backend.jobs.service import JobService
from backend.jobs.states import ACTIVE, Lane
from backend.jobs.thread_jobs import ThreadJobs
from backend.jobs.trainer_jobs import TrainerJobs
from backend.settings import Settings

_log = logging.getLogger(__name__)

# Seconds between looks at the clock, signs of life, looks for stray rows, looks at Huey's threads.
_LOOK = 0.2
_BEAT = 2.0
_SWEEP = 3.0
_HEALTH = 10.0
# Threads for jobs that need no trainer. They mostly wait for others.
_THREADS = 4
# Seconds that threads get to stop when the worker ends.
_PATIENCE = 20.0


class Worker:
    """Carries out jobs.

    Args:
        database: where the rows are.
        settings: home, teacher and launcher.
        launcher: where trainers run; the settings' where not given.
    """

    def __init__(self, database: Database, settings: Settings, launcher: Launcher | None = None) -> None:
        self._database = database
        self._settings = settings
        self._leaving = threading.Event()
        self._ledger = Ledger(database)
        launcher = launcher or get_launcher(settings)
        self._slots = Slots(launcher.places)
        self._trainer = TrainerJobs(database, settings, launcher, self._leaving)
        self._threads = ThreadJobs(database, settings, self._leaving)
        self._hands: set[int] = set()
        self._hands_lock = threading.Lock()
        self._attending: list[threading.Thread] = []
        self._identity = (socket.gethostname(), os.getpid(), now())

    def stop(self) -> None:
        """End soon. Trainers go on by themselves; the next worker finds them."""
        self._leaving.set()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._leaving.is_set()

    def run_job(self, job_id: int) -> None:
        """Carry out one waiting job in this thread; nothing happens if it does not wait any more."""
        with self._in_hand(job_id) as ours:
            job = self._ledger.read(job_id) if ours else None
            if job is None or job.state is not JobState.QUEUED:
                return
            if Lane.of(job.kind) is Lane.THREAD:
                claimed = None if self.stopping else self._ledger.claim(job_id)
                if claimed is not None:
                    self._threads.carry_out(claimed)
                return
            place = self._slots.take(lambda: self._waits_no_more(job_id))
            if place is None:
                return
            try:
                claimed = self._ledger.claim(job_id)
                if claimed is not None:
                    self._trainer.carry_out(claimed, place.device)
            finally:
                self._slots.give_back(place)

    def work(self) -> None:
        """Carry out jobs until `stop`, SIGTERM or SIGINT; only in a process' main thread."""
        with JobQueue(self._settings.queue, self.run_job) as queue:
            consumers: list[Any] = []
            try:
                self._beat()
                # Before the queue is read, so that what an earlier worker left keeps its places.
                self._sweep(queue)
                consumers = queue.consumers({Lane.TRAINER: len(self._slots), Lane.THREAD: _THREADS})
                for consumer in consumers:
                    consumer.start()
                # Huey's consumers would each end by themselves; they are ended together.
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda *_: self.stop())
                self._keep(queue, consumers)
            finally:
                self._end(consumers)

    def take_up_strays(self) -> None:
        """Go on with what an earlier worker left: its trainers keep their places."""
        with self._database.read() as session:
            active = JobRepository(session).in_states(ACTIVE)
        for job_id, _ in active:
            if not self._holds(job_id):
                self._take_up(job_id)

    def join(self) -> None:
        """Wait until nobody attends to a stray any more; only after `stop`."""
        for thread in self._attending:
            thread.join(_PATIENCE)

    def _keep(self, queue: JobQueue, consumers: list[Any]) -> None:
        beat = sweep = health = time.monotonic()
        while not self._leaving.wait(_LOOK):
            moment = time.monotonic()
            if moment - beat >= _BEAT:
                beat = moment
                self._beat()
            if moment - sweep >= _SWEEP:
                sweep = moment
                self._sweep(queue)
            if moment - health >= _HEALTH:
                health = moment
                for consumer in consumers:
                    consumer.check_worker_health()

    def _end(self, consumers: list[Any]) -> None:
        self.stop()
        for consumer in consumers:
            consumer.stop(graceful=True)
        self.join()
        with suppress(SQLAlchemyError), self._database.write() as session:
            JobRepository(session).forget_beat(*self._identity[:2])

    def _beat(self) -> None:
        try:
            with self._database.write() as session:
                JobRepository(session).beat(*self._identity)
        except SQLAlchemyError:
            _log.warning("the sign of life could not be stored", exc_info=True)

    def _sweep(self, queue: JobQueue) -> None:
        """Queue waiting rows that the queue does not know; take up rows that are in nobody's hands."""
        try:
            self.take_up_strays()
            with self._database.read() as session:
                waiting = JobRepository(session).in_states({JobState.QUEUED})
            known = queue.waiting()
            for job_id, kind in waiting:
                if job_id not in known and not self._holds(job_id):
                    queue.enqueue(job_id, Lane.of(kind))
        except (SQLAlchemyError, OSError, sqlite3.Error):
            _log.warning("the rows could not be looked through; it is tried again", exc_info=True)

    def _take_up(self, job_id: int) -> None:
        job = self._ledger.read(job_id)
        if job is None or job.state not in ACTIVE:
            return
        if Lane.of(job.kind) is Lane.THREAD:
            # A command may carry out a job of its own, in its own process.
            if not is_alive(job.pid, job.pid_started):
                _log.info("job %d was cut off", job_id)
                self._ledger.interrupt(job_id, can_go_on=True)
            return
        process = self._trainer.find(job)
        place = self._slots.occupy(process.device) if process is not None else None
        _log.info("job %d: %s", job_id, "its trainer lives" if process else "its trainer has ended")
        thread = threading.Thread(
            target=self._attend, args=(job_id, place), name=f"attend-{job_id}", daemon=True
        )
        self._attending = [other for other in self._attending if other.is_alive()] + [thread]
        thread.start()

    def _attend(self, job_id: int, place: Place | None) -> None:
        try:
            with self._in_hand(job_id) as ours:
                job = self._ledger.read(job_id) if ours else None
                if job is not None and job.state in ACTIVE:
                    self._trainer.take_up(job)
        finally:
            if place is not None:
                self._slots.give_back(place)

    def _waits_no_more(self, job_id: int) -> bool:
        if self.stopping:
            return True
        job = self._ledger.read(job_id)
        return job is None or job.state is not JobState.QUEUED

    def _holds(self, job_id: int) -> bool:
        with self._hands_lock:
            return job_id in self._hands

    @contextmanager
    def _in_hand(self, job_id: int) -> Iterator[bool]:
        """Hold a job for as long as it is dealt with; False where another thread holds it."""
        with self._hands_lock:
            ours = job_id not in self._hands
            self._hands.add(job_id)
        try:
            yield ours
        finally:
            if ours:
                with self._hands_lock:
                    self._hands.discard(job_id)


@contextmanager
def worker_lock(
    database: Database, settings: Settings, *, wait: Callable[[], bool] | None = None
) -> Iterator[None]:
    """Be the only worker of this home and of this database.

    The lock is the operating system's: it ends with its process, however that ends.

    Args:
        database: where another worker, of another home or computer, would give its sign of life.
        settings: the home.
        wait: waits for the other worker to end for as long as this says so.

    Raises:
        ConflictError: there is another worker.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.home / "worker.lock")
    while True:
        with suppress(Timeout):
            lock.acquire(blocking=False)
        if lock.is_locked:
            with database.read() as session:
                other = JobService(session, settings).worker()
            if not other.alive:
                break
            lock.release()
        if wait is None or not wait():
            raise ConflictError(
                "Another worker is at work here.", "One is enough: overrule status says where it runs."
            )
        time.sleep(0.5)
    try:
        yield
    finally:
        lock.release()
