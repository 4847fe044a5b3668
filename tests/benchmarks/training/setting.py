"""What a benchmark is run with, and what it gives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import typer

from tests.benchmarks.training.contest import Contestant, once
from tests.benchmarks.training.figures import table
from tests.benchmarks.training.posts import Post, read_posts
from tests.benchmarks.training.task import Task, Tokens, Turn, write_examples
from training import hardware
from training.job import Precision

Bars = dict[str, float]
"""A bar by column of issue 3's table: "cpu" and "cuda" with the default model, "cuda, llama-8b"."""


@dataclass(frozen=True)
class Setting:
    """What every benchmark of one command shares.

    Attributes:
        model: the base model's folder.
        model_name: what it is called: "default", a shape, or the folder.
        device: what is computed on.
        precision: of the base model's weights, as the trainer's setting has it.
        posts_path: the file of posts.
        batch: examples in an optimiser step.
        batches: optimiser steps in a turn.
        rounds: turns of each contestant that count.
        folder: for tasks and logs.
    """

    model: Path
    model_name: str
    device: torch.device
    precision: Precision
    posts_path: Path
    batch: int
    batches: int
    rounds: int
    folder: Path

    @cached_property
    def posts(self) -> list[Post]:
        """The file's posts."""
        return read_posts(self.posts_path)

    @property
    def dtype(self) -> str:
        """What the base model's weights are kept in."""
        return str(hardware.weights_dtype(self.device, self.precision)).removeprefix("torch.")

    @property
    def column(self) -> str:
        """Which column of the table of bars this is."""
        return self.device.type if self.model_name == "default" else f"{self.device.type}, {self.model_name}"

    def task(self, name: str, examples: Sequence[Tokens], **changes: Any) -> Task:
        """The task of learning these examples; one file of them for everyone."""
        path = self.folder / f"{name}.examples.json"
        write_examples(path, examples)
        fields: dict[str, Any] = {
            "model": str(self.model),
            "device": self.device.type,
            "dtype": self.dtype,
            "examples": str(path),
            "batch": self.batch,
            "batches": self.batches,
            # One more for the warm-up, and one that never comes: nobody winds up on the clock.
            "turns": self.rounds + 2,
            "threads": torch.get_num_threads(),
        }
        return Task(**(fields | changes))

    def reference(self, name: str, task: Task) -> list[float]:
        """The loss of each example of a task under the base model."""
        turn = once(Contestant(f"{name}.reference", "reference"), task, self.folder)
        losses: list[float] = turn.about["losses"]
        return losses

    def about(self) -> dict[str, Any]:
        """What a report says of it."""
        return {
            "machine": hardware.describe(self.device) | {"load_before": os.getloadavg()[0]},
            "weights": self.dtype,
            "model": self.model_name,
            "posts": self.posts_path.name,
            "rounds": self.rounds,
        }


@dataclass(frozen=True)
class Report:
    """What a benchmark found: a table to print and all figures to keep."""

    title: str
    notes: Sequence[str]
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    data: dict[str, Any] = field(default_factory=dict)

    def markdown(self) -> str:
        """As it stands in docs/benchmarks.md."""
        return "\n\n".join([f"### {self.title}", " ".join(self.notes), table(self.header, self.rows)])


def kept(turns: dict[str, list[Turn]]) -> dict[str, list[dict[str, Any]]]:
    """All turns, for the JSON file."""
    return {name: [asdict(turn) for turn in of] for name, of in turns.items()}


def say(message: str) -> None:
    """Tell how it goes, on standard error: standard output is for the tables."""
    typer.echo(message, err=True)
