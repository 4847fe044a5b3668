"""The queue: Huey with a SQLite file of its own. It carries ids, and may be lost at any time.

The lower id goes first, as the rows say, so that a place in the queue is the same for both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from huey import SqliteHuey

from backend.jobs.states import Lane

_log = logging.getLogger(__name__)

# Seconds a writer waits for another before it fails.
_TIMEOUT = 15
# Seconds between two looks at an empty queue, at most.
_LOOK = 0.5
# Seconds that a thread gets to stop when its consumer ends.
_PATIENCE = 20


class JobQueue:
    """The ids of waiting jobs, a lane for each kind of hands.

    Args:
        path: the queue's file; made where missing.
        run: what carries out a job; needed only where `consumers` are started.
    """

    def __init__(self, path: Path, run: Callable[[int], None] | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._run = run
        self._hueys = {
            lane: SqliteHuey(lane.value, filename=str(path), results=False, timeout=_TIMEOUT) for lane in Lane
        }
        self._tasks = {lane: huey.task(name="run_job")(self._execute) for lane, huey in self._hueys.items()}

    def _execute(self, job_id: int) -> None:
        if self._run is not None:
            self._run(job_id)

    def enqueue(self, job_id: int, lane: Lane) -> None:
        """Put an id into a lane."""
        task = self._tasks[lane].s(job_id)
        task.priority = -job_id
        self._hueys[lane].enqueue(task)

    def waiting(self) -> set[int]:
        """The ids in all lanes."""
        return {task.args[0] for huey in self._hueys.values() for task in huey.pending()}

    def consumers(self, threads: dict[Lane, int]) -> list[Any]:
        """Huey's consumers, not started yet, with so many threads each."""
        return [
            self._hueys[lane].create_consumer(
                workers=count,
                periodic=False,
                initial_delay=0.05,
                max_delay=_LOOK,
                shutdown_timeout=_PATIENCE,
            )
            for lane, count in threads.items()
        ]

    def close(self) -> None:
        """Close the file."""
        for huey in self._hueys.values():
            huey.storage.close()

    def __enter__(self) -> JobQueue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def announce(path: Path, job_id: int, lane: Lane) -> None:
    """Tell the queue of a job whose row is stored.

    The row is the truth: where this fails, the worker finds the row by itself some seconds later.
    """
    try:
        with JobQueue(path) as queue:
            queue.enqueue(job_id, lane)
    except Exception:  # noqa: BLE001
        _log.warning("job %d is stored but could not be queued yet", job_id, exc_info=True)
