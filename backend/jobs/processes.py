"""Processes: an id is used again after a while; with its start time it names one process."""

from __future__ import annotations

import psutil

# Start times come from the clock at boot; they may be told a little differently later.
_TOLERANCE = 2.0


def start_time(pid: int) -> float | None:
    """When a process started (seconds since 1970), or None where it is gone or only a corpse."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.create_time()
    except psutil.Error:
        return None


def is_alive(pid: int | None, started: float | None) -> bool:
    """Whether the very process that started then is still there."""
    if pid is None:
        return False
    found = start_time(pid)
    return found is not None and (started is None or abs(found - started) < _TOLERANCE)


def this_process() -> tuple[int, float]:
    """The id and start time of the process that asks."""
    process = psutil.Process()
    return process.pid, process.create_time()
