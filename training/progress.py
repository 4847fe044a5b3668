"""How a job tells of itself: one JSON object a line, only ever added to.

    {"time": "2026-01-01T12:00:00.000+00:00", "phase": "training", "step": 12, "steps": 60, …}

Every event has `time` and `phase`; the other fields of `FIELDS` stand where they are known.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

Phase = Literal["loading", "training", "validating", "preferring", "scoring", "done"]

FIELDS = (
    "step",
    "steps",
    "epoch",
    "loss",
    "validation_loss",
    "preference_loss",
    "validation_preference_loss",
    "learning_rate",
    "examples_per_second",
    "tokens_per_second",
    "memory_mb",
    "seconds_left",
    "best",
    "message",
)
"""`step` of `steps`: optimiser steps while training, posts while scoring. Losses are per learned
token; preference losses are per pair, and "preferring" counts its own steps, and pairs as examples.
`best` is true where this validation loss is the lowest so far. Tokens are those computed."""

_SECONDS_BETWEEN = 0.5


def read(path: Path, after: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read the events written since an earlier call.

    Args:
        path: `progress.jsonl`; one that is not there yet has no events.
        after: the offset (bytes) that the earlier call gave back.

    Returns:
        The events, and the offset to go on from. A last line that is still being written is
        left for the next call; a line that is no JSON (a crash in its middle) is passed over.
    """
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) < after:
                # The file was begun anew: what the offset meant is gone.
                after = 0
            file.seek(after)
            content = file.read()
    except FileNotFoundError:
        return [], 0
    end = content.rfind(b"\n") + 1
    events = []
    for line in content[:end].splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events, after + end


class Reporter:
    """Writes a job's events and estimates the time left.

    The estimate counts work in units of one token computed forward. Only work done by this
    process counts towards its pace, so the estimate stays right after a resume.

    Args:
        path: `progress.jsonl`.
        on_event: called after each event that was written.
    """

    def __init__(self, path: Path, on_event: Callable[[], None] | None = None) -> None:
        self._path = path
        self._on_event = on_event
        self._written = 0.0
        self._left = 0.0
        self._done = 0.0
        self._busy = 0.0
        self._since: float | None = None
        self._mend()

    def plan(self, units: float) -> None:
        """Say how much more work lies ahead; less, where it is below zero."""
        self._left = max(0.0, self._left + units)

    def work(self, units: float) -> None:
        """Say that work was done since the last call or the last `begin`."""
        now = time.monotonic()
        if self._since is not None:
            self._busy += now - self._since
            self._done += units
        self._since = now
        self._left = max(0.0, self._left - units)

    def begin(self) -> None:
        """Start the clock: what came before (loading, saving) says nothing about the pace."""
        self._since = time.monotonic()

    @property
    def seconds_left(self) -> float | None:
        """Time to the end at this process's pace so far, in seconds."""
        if not self._done:
            return None
        return self._left * self._busy / self._done

    def write(self, phase: Phase, *, always: bool = True, **fields: Any) -> None:
        """Add an event.

        Args:
            phase: what the job is doing.
            always: False lets events that follow each other closely be left out.
            **fields: any of `FIELDS`.

        Raises:
            OSError: the disk is full.
        """
        now = time.monotonic()
        if not always and now - self._written < _SECONDS_BETWEEN:
            return
        self._written = now
        unknown = set(fields).difference(FIELDS)
        if unknown:
            raise ValueError(f"events have no field {sorted(unknown)[0]!r}")
        event: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "phase": phase}
        event |= {name: _rounded(value) for name, value in fields.items() if value is not None}
        if phase != "done" and self.seconds_left is not None:
            event["seconds_left"] = round(self.seconds_left, 1)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
        if self._on_event is not None:
            self._on_event()

    def _mend(self) -> None:
        """End a line that a killed process left half-written, so that the next one stands alone."""
        if not self._path.is_file():
            return
        with self._path.open("rb+") as file:
            if file.seek(0, 2) and file.seek(-1, 2) >= 0 and file.read(1) != b"\n":
                file.write(b"\n")


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
