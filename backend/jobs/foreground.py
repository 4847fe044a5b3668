"""Carrying out one job from a command where no worker is there to do it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from backend.db.engine import Database
from backend.errors import ConflictError
from backend.jobs.service import JobService
from backend.jobs.worker import Worker, worker_lock
from backend.settings import Settings


@contextmanager
def carried_out(database: Database, settings: Settings, job_id: int) -> Iterator[bool]:
    """See to it that somebody carries out a job: the worker where one is alive, else this process.

    It is the worker's own code either way. Leaving early leaves the job as a worker's end would:
    a trainer goes on by itself, and the next worker takes it up.

    Yields:
        Whether this process does it.
    """
    with ExitStack() as stack:
        with database.read() as session:
            alive = JobService(session, settings).worker().alive
        if not alive:
            try:
                stack.enter_context(worker_lock(database, settings))
            except ConflictError:
                # A worker, or another such command, came in between.
                alive = True
        if alive:
            yield False
            return
        worker = Worker(database, settings)
        worker.take_up_strays()
        thread = threading.Thread(target=worker.run_job, args=(job_id,), name=f"job-{job_id}", daemon=True)
        thread.start()
        try:
            yield True
        finally:
            worker.stop()
            thread.join()
            worker.join()
