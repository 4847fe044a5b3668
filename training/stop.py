"""Stopping on request: SIGTERM and SIGINT mean "save and stop"."""

from __future__ import annotations

import signal
from types import FrameType


class StopRequestedError(Exception):
    """Work was left where it can be taken up again, because someone asked to stop."""


class Stop:
    """Remembers that someone asked to stop; the work looks at it between steps."""

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as requests. Only the main thread may do so."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def check(self) -> None:
        """Give way to a request.

        Raises:
            StopRequestedError: someone asked to stop.
        """
        if self.requested:
            raise StopRequestedError
