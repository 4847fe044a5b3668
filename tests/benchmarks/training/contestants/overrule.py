"""Overrule's own Student and Loop, as `python -m training` uses them."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.training.task import Task, Tokens
from tests.benchmarks.training.turns import Turns, leave
from training import methods
from training.checkpoints import Checkpoints
from training.job import Config
from training.layout import pack
from training.loop import Loop
from training.machine import settle_memory
from training.objective import Teaching
from training.progress import Reporter
from training.prompt import Example
from training.stop import Stop
from training.student import Student

EVENTS = "progress.jsonl"


class Referee(Stop):
    """Looked at between steps, like any stop: here the loop waits for its next turn."""

    loop: Loop

    def __init__(self, turns: Turns, events: Path) -> None:
        self.turns = turns
        self.events = events
        self.waited_at = -1

    @property
    def requested(self) -> bool:
        step = self.loop.step
        if step % self.turns.task.batches == 0 and step != self.waited_at:
            if step:
                self.tell(step)
            self.waited_at = step
            if not self.turns.begin():
                leave()
        return False

    def tell(self, step: int) -> None:
        """Stop the clock; then look up what the steps of this turn learned."""
        task = self.turns.task
        clock = self.turns.stop()
        steps = [self.loop.batch(index) for index in range(step - task.batches, step)]
        rows = [
            row
            for indices in steps
            for row in pack(self.loop.objective.examples_of(indices), self.loop.student.row_tokens)
        ]
        about: dict[str, Any] = {"rows": len(rows), "computed_tokens": sum(len(row.ids) for row in rows)}
        first_event = json.loads(self.events.read_text().splitlines()[0])
        self.turns.tell(
            clock,
            steps[0],
            [index for indices in steps[1:] for index in indices],
            # Only the first step of all is sure to have an event.
            first_event["loss"] if step == task.batches else None,
            **about,
        )


def config_of(task: Task, examples: Sequence[Tokens]) -> Config:
    """The settings of a fine-tune that does the task."""
    return Config(
        epochs=task.turns,
        batch_size=task.batch,
        learning_rate=task.learning_rate,
        rank=task.rank,
        alpha=task.alpha,
        layers=1.0,
        precision="float32" if task.dtype == "float32" else "auto",
        max_length=max(32, *(len(one.ids) for one in examples)),
        seed=task.seed,
    )


def example_of(one: Tokens) -> Example:
    """An example as the trainer has it."""
    return Example(one.ids[: one.prefix], one.ids[one.prefix : -one.answer], (), one.ids[-one.answer :])


def row_tokens(examples: Sequence[Tokens], count: int) -> int:
    """Tokens of a row with room for any so many of these examples."""
    own = sorted((len(one.ids) - one.prefix for one in examples), reverse=True)
    return examples[0].prefix + sum(own[:count])


def loop_of(student: Student, examples: Sequence[Example], config: Config, folder: Path, stop: Stop) -> Loop:
    """The loop as a job has it, without validation."""
    return Loop(
        student,
        Teaching(student, examples, range(len(examples))),
        None,
        config,
        checkpoints=Checkpoints(folder / "checkpoints", "benchmark"),
        reporter=Reporter(folder / EVENTS),
        stop=stop,
        # They are saved by the clock on the wall, which runs on while others have their turn.
        checkpoint_seconds=math.inf,
    )


def main() -> None:
    settle_memory()
    turns = Turns.from_command_line()
    task = turns.task
    config = config_of(task, turns.examples)
    student = methods.begin(Path(task.model), config, turns.device, task.model)
    with tempfile.TemporaryDirectory() as folder:
        referee = Referee(turns, Path(folder) / EVENTS)
        examples = [example_of(one) for one in turns.examples]
        referee.loop = loop_of(student, examples, config, Path(folder), referee)
        referee.loop.run()


if __name__ == "__main__":
    main()
