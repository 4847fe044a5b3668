"""How a job tells of itself: one JSON object a line, only ever added to.

    {"time": "2026-01-01T12:00:00.000+00:00", "phase": "training", "step": 12, "steps": 60, …}

Every event has `time` and `phase`; the other fields of `FIELDS` stand where they are known.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
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
    "macro_f1",
    "preference_loss",
    "validation_preference_loss",
    "learning_rate",
    "examples_per_second",
    "tokens_per_second",
    "learned_tokens_per_second",
    "mfu",
    "memory_mb",
    "seconds_left",
    "best",
    "model",
    "message",
)
"""`step` of `steps`: optimiser steps while training, posts while scoring. Losses are per learned
token; preference losses are per pair, and "preferring" counts its own steps, and pairs as examples.
`best` is true where this validation is the best so far, by its loss or its macro-F1 as the job's
settings choose. `model` is whose scores are taken, where not the job's own model's: the name of a
folder under `predictions/`. Rates are those of the last twenty steps; tokens are those computed. `mfu`
is the share of a known GPU's peak that goes into arithmetic that cannot be left out."""

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


BEGUN = "starting"
"""What a process says first."""


def seconds_spent(events: Iterable[Mapping[str, Any]]) -> float:
    """How long processes were at work on a job, in seconds: each from its first event to its last."""
    spent, begun, last = 0.0, None, None
    for event in events:
        at = datetime.fromisoformat(event["time"])
        if begun is None or last is None or event.get("message") == BEGUN:
            spent += 0.0 if begun is None or last is None else (last - begun).total_seconds()
            begun = at
        last = at
    return spent if begun is None or last is None else spent + (last - begun).total_seconds()


_PIECES = 20
"""So many pieces of work make a pace: enough to be smooth, few enough to follow a machine's other work."""


class _Pace:
    """One kind of work: what is left of it, and how fast it goes."""

    def __init__(self) -> None:
        self.left = 0.0
        self.pieces = 0
        self.units = 0.0
        self.seconds = 0.0
        self.last: deque[tuple[float, float, dict[str, float]]] = deque(maxlen=_PIECES)

    def add(self, seconds: float, units: float, counts: dict[str, float]) -> None:
        """Take in a piece of work."""
        if self.pieces == 1:
            # The first piece also warms up (memory, kernels), which no other has to do again.
            self.units = self.seconds = 0.0
            self.last.clear()
        self.pieces += 1
        self.units += units
        self.seconds += seconds
        self.last.append((seconds, units, counts))

    @property
    def recent(self) -> tuple[float, float]:
        """Seconds and units of the last pieces."""
        return sum(piece[0] for piece in self.last), sum(piece[1] for piece in self.last)

    def seconds_left(self, otherwise: float) -> float:
        """The time for what is left, at its own pace or at another (seconds a unit)."""
        seconds, units = self.recent
        return self.left * (seconds / units if units else otherwise)


class Reporter:
    """Writes a job's events and tells how fast it is and how long it still takes.

    Work is counted in floating-point operations (`training/cost.py`), each kind of it by itself.
    Only work done by this process counts towards its pace, so the estimate stays right after a
    resume.

    Args:
        path: `progress.jsonl`.
        on_event: called after each event that was written.
    """

    def __init__(self, path: Path, on_event: Callable[[], None] | None = None) -> None:
        self._path = path
        self._on_event = on_event
        self._written = 0.0
        self._paces: dict[Phase, _Pace] = {}
        self._since: float | None = None
        self._mend()

    def plan(self, units: float, of: Phase = "training") -> None:
        """Say how much more work of a kind lies ahead; less, where it is below zero."""
        pace = self._pace(of)
        pace.left = max(0.0, pace.left + units)

    def work(self, units: float, of: Phase = "training", **counts: float) -> None:
        """Say that a piece of work was done since the last call or the last `begin`.

        Args:
            units: how much.
            of: which kind.
            **counts: what else there was of it, for `rates`.
        """
        now = time.monotonic()
        pace = self._pace(of)
        if self._since is not None:
            pace.add(now - self._since, units, counts)
        self._since = now
        pace.left = max(0.0, pace.left - units)

    def begin(self) -> None:
        """Start the clock: what came before (loading, saving) says nothing about the pace."""
        self._since = time.monotonic()

    def rates(self, of: Phase) -> dict[str, float]:
        """What was counted with the last pieces of work, and their `units`, each per second."""
        pace = self._pace(of)
        seconds, units = pace.recent
        if not seconds:
            return {}
        totals = {"units": units}
        for _, _, counts in pace.last:
            for name, value in counts.items():
                totals[name] = totals.get(name, 0.0) + value
        return {name: value / seconds for name, value in totals.items()}

    @property
    def paces(self) -> dict[Phase, float]:
        """Units per second of each kind over this whole process, the first piece left out."""
        return {of: pace.units / pace.seconds for of, pace in self._paces.items() if pace.seconds}

    @property
    def seconds_left(self) -> float | None:
        """Time to the end in seconds; a kind that was not begun is taken to be as fast as the others."""
        recent = [pace.recent for pace in self._paces.values()]
        units = sum(each[1] for each in recent)
        if not units:
            return None
        average = sum(each[0] for each in recent) / units
        return sum(pace.seconds_left(average) for pace in self._paces.values())

    def _pace(self, of: Phase) -> _Pace:
        return self._paces.setdefault(of, _Pace())

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
