"""Letting contestants take turns: A B C, A B C, …, so that all of them meet the same machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.training.posts import ROOT
from tests.benchmarks.training.task import Task, Tokens, Turn
from training.machine import TUNABLES, with_huge_pages

LOSS_TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}
"""How far a first step's loss may lie from the reference, of itself: fp32's rounding, and bf16's."""

_PACKAGE = "tests.benchmarks.training.contestants"


class ContestError(Exception):
    """A contestant broke off, or did something else than it was asked; no figure of it counts."""


@dataclass(frozen=True)
class Contestant:
    """Who takes part.

    Attributes:
        name: what it is called in the tables.
        module: its script under `contestants/`.
        python: of its environment.
        settings: what it alone is told.
    """

    name: str
    module: str
    python: Path = Path(sys.executable)
    settings: dict[str, Any] = field(default_factory=dict)


class Running:
    """A contestant's process."""

    def __init__(self, contestant: Contestant, task: Task, folder: Path) -> None:
        self.name = contestant.name
        self.log = folder / f"{contestant.name}.log"
        mine, theirs = socket.socketpair()
        path = folder / f"{contestant.name}.json"
        replace(task, settings=contestant.settings).write(path)
        with self.log.open("ab") as log, theirs:
            self.process = subprocess.Popen(
                [
                    str(contestant.python),
                    "-m",
                    f"{_PACKAGE}.{contestant.module}",
                    str(path),
                    str(theirs.fileno()),
                ],
                cwd=ROOT,
                env=_environment(task, folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
        self._socket = mine
        self._stream = mine.makefile("rw", encoding="utf-8")

    def turn(self) -> Turn:
        """Let it do one turn.

        Raises:
            ContestError: it broke off.
        """
        try:
            self._stream.write("go\n")
            self._stream.flush()
            line = self._stream.readline()
        except OSError:
            line = ""
        if not line:
            self.process.wait()
            said = self.log.read_text("utf-8", errors="replace")[-3000:]
            raise ContestError(f"{self.name} broke off (exit code {self.process.returncode}):\n{said}")
        return Turn(**json.loads(line))

    def close(self) -> None:
        """No more turns; one that is under way is broken off."""
        self._stream.close()
        self._socket.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _environment(task: Task, folder: Path) -> dict[str, str]:
    """The same for all: threads, no network, nothing left in the user's caches."""
    environment = dict(os.environ)
    environment |= {
        "OMP_NUM_THREADS": str(task.threads),
        "TOKENIZERS_PARALLELISM": "false",
        # Overrule's trainer asks for huge pages by itself; so that no ratio is glibc's, all have them.
        TUNABLES: with_huge_pages(os.environ.get(TUNABLES, "")),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "datasets"),
        "PYTHONPATH": str(ROOT),
    }
    if task.device == "cuda":
        environment.setdefault("CUDA_VISIBLE_DEVICES", "0")
    return environment


def play(
    contestants: Sequence[Contestant],
    task: Task,
    rounds: int,
    folder: Path,
    *,
    say: Callable[[str], None],
) -> dict[str, list[Turn]]:
    """A warm-up turn of each, then so many rounds; all processes live until the last of them.

    Args:
        contestants: in the order in which they take turns.
        task: what is the same for all.
        rounds: turns of each that count.
        folder: for tasks and logs.
        say: told how it goes.

    Returns:
        The turns of each by name; the first of each is its warm-up.

    Raises:
        ContestError: a contestant broke off.
    """
    played: dict[str, list[Turn]] = {contestant.name: [] for contestant in contestants}
    with ExitStack() as stack:
        at_work = []
        for contestant in contestants:
            running = Running(contestant, task, folder)
            stack.callback(running.close)
            at_work.append(running)
            # One after another: starting beside someone else's warm-up would warm up neither.
            played[running.name].append(running.turn())
            say(f"{running.name}: warm-up {_times(played[running.name][-1])}")
        for number in range(1, rounds + 1):
            for running in at_work:
                played[running.name].append(running.turn())
                say(f"{running.name}: round {number} of {rounds} {_times(played[running.name][-1])}")
    return played


def _times(turn: Turn) -> str:
    return f"{turn.seconds:.2f} s ({turn.processor_seconds:.2f} s of processor time)"


def once(contestant: Contestant, task: Task, folder: Path) -> Turn:
    """A single turn, without a warm-up.

    Raises:
        ContestError: the contestant broke off.
    """
    running = Running(contestant, task, folder)
    try:
        return running.turn()
    finally:
        running.close()


def check_work(name: str, turns: Sequence[Turn], examples: Sequence[Tokens]) -> None:
    """That a contestant learned the given examples, all of them in each turn.

    Raises:
        ContestError: it did something else; its figures do not count.
    """
    given = (len(examples), sum(example.answer for example in examples))
    for number, turn in enumerate(turns):
        if (turn.examples, turn.learned) != given:
            raise ContestError(
                f"{name} learned {turn.examples} examples with {turn.learned} learned tokens in turn "
                f"{number}; it was given {given[0]} with {given[1]}"
            )


def check_loss(
    name: str, turn: Turn, examples: Sequence[Tokens], losses: Sequence[float], dtype: str
) -> float:
    """That a contestant's very first step began from the same model.

    Args:
        name: the contestant's.
        turn: its warm-up.
        examples: what it was given.
        losses: loss per learned token of each example alone under the base model.
        dtype: of the base model's weights.

    Returns:
        How far its loss lies from what it has to be, of the latter.

    Raises:
        ContestError: it computes something else; its figures do not count.
    """
    if turn.first_loss is None:
        raise ContestError(f"{name} told no loss of its first step")
    weights = [examples[index].answer for index in turn.first]
    summed = sum(weight * losses[index] for weight, index in zip(weights, turn.first, strict=True))
    expected = summed / sum(weights)
    distance = abs(turn.first_loss - expected) / expected
    if not distance <= LOSS_TOLERANCE[dtype]:
        raise ContestError(
            f"{name} began with a loss of {turn.first_loss:.5f} on examples whose loss is {expected:.5f}: "
            "it does not compute the same, so its speed says nothing"
        )
    return distance
