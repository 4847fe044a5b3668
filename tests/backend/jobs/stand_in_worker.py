"""A worker process as `overrule worker` is one, that launches the stand-in instead of the trainer.

python -m tests.backend.jobs.stand_in_worker
"""

from __future__ import annotations

import sys

from backend.db.engine import get_database
from backend.jobs.launcher import LocalLauncher
from backend.jobs.worker import Worker, worker_lock
from backend.settings import get_settings


class StandInLauncher(LocalLauncher):
    """The local launcher with another program in the trainer's place."""

    program = (sys.executable, "-m", "tests.backend.jobs.stand_in")


if __name__ == "__main__":
    settings, database = get_settings(), get_database()
    with worker_lock(database, settings):
        Worker(database, settings, StandInLauncher(settings)).work()
