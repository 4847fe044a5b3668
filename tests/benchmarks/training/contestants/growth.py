"""Overrule's steps behind a short and behind a long policy, by turns in one process.

Two processes with rows of this size would not fit into a usual machine's memory. Settings:
`long`, the file of the examples with the long policy; `row_examples`, how many lie in one row.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from tests.benchmarks.training.contestants.overrule import config_of, example_of, loop_of, row_tokens
from tests.benchmarks.training.task import read_examples
from tests.benchmarks.training.turns import Turns
from training.layout import pack
from training.loop import Loop
from training.machine import settle_memory
from training.stop import Stop
from training.student import new_student


def step(loop: Loop) -> None:
    """One optimiser step over all examples, as the loop does it."""
    loop.optimizer.zero_grad(set_to_none=True)
    loop.gradients(range(loop.count))
    torch.nn.utils.clip_grad_norm_(loop.parameters.values(), loop.config.max_grad_norm)
    loop.optimizer.step()


def timed(loop: Loop, tokens: int, turns: Turns) -> float:
    """Seconds of a step in rows of so many tokens."""
    loop.student.row_tokens = tokens
    turns.wait_for_device()
    began = time.perf_counter()
    step(loop)
    turns.wait_for_device()
    return time.perf_counter() - began


def main() -> None:
    settle_memory()
    turns = Turns.from_command_line()
    task = turns.task
    sets = {"short": turns.examples, "long": read_examples(Path(task.settings["long"]))}
    config = config_of(task, sets["long"])
    student = new_student(Path(task.model), config, turns.device, task.model)
    batches = {name: [example_of(one) for one in of] for name, of in sets.items()}
    tokens = {name: row_tokens(of, task.settings["row_examples"]) for name, of in sets.items()}
    with tempfile.TemporaryDirectory() as folder:
        loops = {
            name: loop_of(student, batch, config, Path(folder) / name, Stop())
            for name, batch in batches.items()
        }
        while turns.begin():
            seconds = {name: timed(loop, tokens[name], turns) for name, loop in loops.items()}
            clock = turns.stop()
            rows = {name: len(list(pack(batch, tokens[name]))) for name, batch in batches.items()}
            turns.tell(clock, range(len(turns.examples)), [], None, by_policy=seconds, rows=rows)


if __name__ == "__main__":
    main()
