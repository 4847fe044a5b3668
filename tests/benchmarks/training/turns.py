"""A contestant's side of the contest: it waits for its turn, does it, and tells of it.

The contestants of a contest live at the same time, each in a process of its own, and only one
computes at any moment. So starting up and warming up are paid once and counted never.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import os
import platform
import resource
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.training.task import Task, Tokens, Turn, read_back

_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "llamafactory")


class Turns:
    """The connection to whoever calls the turns; `python -m MODULE TASK SOCKET` makes one."""

    def __init__(self, task: Task, connection: socket.socket) -> None:
        self.task = task
        self.examples: list[Tokens] = task.load_examples()
        self.seen: list[tuple[Any, Any]] = []
        self.losses: list[Any] = []
        self._stream = connection.makefile("rw", encoding="utf-8")
        self._began = self._processor_began = self._processor_seconds = 0.0
        torch.set_num_threads(task.threads)

    @classmethod
    def from_command_line(cls) -> Turns:
        return cls(Task.read(Path(sys.argv[1])), socket.socket(fileno=int(sys.argv[2])))

    @property
    def device(self) -> torch.device:
        return torch.device(self.task.device)

    @property
    def dtype(self) -> torch.dtype:
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[self.task.dtype]

    def begin(self) -> bool:
        """Wait for the word and start the clock; False where no more turns come."""
        gc.collect()
        if self._stream.readline().strip() != "go":
            return False
        self.seen.clear()
        self.losses.clear()
        self.wait_for_device()
        self._processor_began = time.process_time()
        self._began = time.perf_counter()
        return True

    def saw(self, ids: Any, labels: Any) -> None:
        """Keep what a model is being given, (B, T) each, to be looked at after the clock has stopped."""
        self.seen.append((ids, labels))

    def end(self, steps_of_first: int = 1, **about: Any) -> None:
        """Stop the clock and tell of the turn, from what `saw` and `losses` have gathered.

        Args:
            steps_of_first: calls of the model that made up the first optimiser step.
            **about: kept as it is.
        """
        seconds = self.stop()
        rows = [
            [(one, two) for one, two in zip(ids.tolist(), labels.tolist(), strict=True)]
            for ids, labels in self.seen
        ]
        first = [index for call in rows[:steps_of_first] for index in read_back(call, self.examples)]
        rest = [index for call in rows[steps_of_first:] for index in read_back(call, self.examples)]
        loss = sum(float(loss) for loss in self.losses[:steps_of_first])
        about["computed_tokens"] = sum(ids.numel() for ids, _ in self.seen)
        self.tell(seconds, first, rest, loss, **about)

    def tell(
        self,
        seconds: float,
        first: Sequence[int],
        rest: Sequence[int],
        first_loss: float | None,
        **about: Any,
    ) -> None:
        """Send the turn's figures.

        Args:
            seconds: what `stop` gave.
            first: the examples of the first step, by index.
            rest: those of the other steps.
            first_loss: loss per learned token of the first step.
            **about: kept as it is.
        """
        done = [self.examples[index] for index in (*first, *rest)]
        turn = Turn(
            seconds=seconds,
            processor_seconds=self._processor_seconds,
            examples=len(done),
            learned=sum(example.answer for example in done),
            tokens=sum(len(example.ids) for example in done),
            first=list(first),
            first_loss=first_loss,
            memory_mb=self._memory_mb(),
            about=about | {"versions": versions()},
        )
        self._stream.write(json.dumps(asdict(turn)) + "\n")
        self._stream.flush()

    def stop(self) -> float:
        """Stop the clock, in seconds since the word."""
        self.wait_for_device()
        seconds = time.perf_counter() - self._began
        self._processor_seconds = time.process_time() - self._processor_began
        return seconds

    def wait_for_device(self) -> None:
        """Let a GPU finish what it was given."""
        if self.task.device == "cuda":
            torch.cuda.synchronize()

    def _memory_mb(self) -> float:
        if self.task.device == "cuda":
            return torch.cuda.max_memory_reserved() / 2**20
        # Linux counts in KiB, macOS in bytes.
        unit = 1 if platform.system() == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def versions() -> dict[str, str]:
    """The versions of what is being measured, where it is installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def leave() -> None:
    """End the process at once: what a trainer would still save is of no use to anyone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
