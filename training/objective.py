"""What a training loop minimises: a loss that is summed over packed rows and divided once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from training.data import epoch_batches
from training.fitting import in_rows_that_fit
from training.job import Config
from training.layout import pack, tokens_computed
from training.progress import Phase
from training.prompt import Example
from training.student import Student

AfterRow = Callable[[int], None]
"""Called after each row with the tokens that it computed; it may raise to stop."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a fine-tune, by the phases and fields under which its events tell of it."""

    training: Phase
    validating: Phase
    loss: str
    validation_loss: str


class Objective(Protocol):
    """A loss over things to learn, each known by its index."""

    @property
    def student(self) -> Student:
        """Who learns it."""

    @property
    def stage(self) -> Stage:
        """What it is a part of."""

    @property
    def names(self) -> Sequence[Any]:
        """The row's id of each thing to learn, for messages."""

    def losses(self, batch: Sequence[int]) -> Iterator[tuple[Tensor, int]]:
        """For each packed row of a batch, its summed loss and how many tokens were computed.

        A row is computed only when it is asked for, so that one row's graph is alive at a time.
        """

    def weight(self, batch: Sequence[int]) -> float:
        """What the sum over a batch's rows is divided by."""

    def tokens(self, batch: Sequence[int]) -> int:
        """Tokens computed for a batch."""

    def examples_of(self, batch: Sequence[int]) -> Sequence[Example]:
        """What a batch's rows are packed from."""


def mean_loss(objective: Objective, after_row: AfterRow) -> float:
    """The loss over everything that an objective has, without gradients.

    Raises:
        MemoryShortError: an example does not fit into memory alone.
    """
    everything = range(len(objective.names))
    examples = objective.examples_of(everything)
    total = in_rows_that_fit(objective.student, examples, lambda: _sum(objective, everything, after_row))
    return total / objective.weight(everything)


def without_number(objective: Objective, batch: Sequence[int], after_row: AfterRow) -> list[int]:
    """Those of a batch whose loss, each computed alone, is not finite."""

    def alone(index: int) -> float:
        only = (index,)
        return in_rows_that_fit(
            objective.student, objective.examples_of(only), lambda: _sum(objective, only, after_row)
        )

    return [index for index in batch if not math.isfinite(alone(index))]


@torch.no_grad()
def _sum(objective: Objective, batch: Sequence[int], after_row: AfterRow) -> float:
    total = 0.0
    for loss, tokens in objective.losses(batch):
        total += loss.item()
        after_row(tokens)
    return total


def first_epoch(objective: Objective, config: Config) -> list[Sequence[Example]]:
    """The examples of each of the first epoch's batches: the company in which the frozen layers see them."""
    batches = epoch_batches(len(objective.names), config.batch_size, config.seed, 0)
    return [objective.examples_of(batch) for batch in batches]


@dataclass(frozen=True, slots=True)
class Teaching:
    """The fine-tune itself: the cross-entropy of the learned tokens, their weighted mean.

    Attributes:
        examples: what is learned.
        names: the row's id of each example.
    """

    stage: ClassVar[Stage] = Stage("training", "validating", "loss", "validation_loss")

    student: Student
    examples: Sequence[Example]
    names: Sequence[Any]

    def losses(self, batch: Sequence[int]) -> Iterator[tuple[Tensor, int]]:
        """The loss of each row, summed over its learned tokens."""
        for row in pack(self.examples_of(batch), self.student.row_tokens):
            yield self.student.loss_sum(row), len(row.ids)

    def weight(self, batch: Sequence[int]) -> float:
        """Learned tokens, each by its weight."""
        return sum(self.examples[index].weight * len(self.examples[index].answer) for index in batch)

    def tokens(self, batch: Sequence[int]) -> int:
        """Tokens in the packed rows."""
        return tokens_computed(self.examples_of(batch), self.student.row_tokens)

    def examples_of(self, batch: Sequence[int]) -> list[Example]:
        """What a batch's rows are packed from."""
        return [self.examples[index] for index in batch]
