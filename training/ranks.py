"""The processes of one run, each with a device of its own; without torch.

`torchrun --nproc-per-node 4 -m training JOB` starts four (`accelerate launch` does too). The first
leads: it does the job as if it were alone. The others help: they hold the same model and examples
and wait. At each step the leader sends its weights and the step's examples, each process computes
the gradients of its share, and these are summed. What is decided (the order, validation, stopping,
checkpoints) the leader decides alone; so the loss curve is that of one process up to rounding, and
a run that was stopped on four devices goes on with one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.progress import Phase

Compute = Callable[[Sequence[int]], float]
"""Puts the gradients of a share of a batch in place and gives its part of the loss."""


def count() -> int:
    """How many processes were started for this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def own() -> int:
    """The number of this process; 0 leads."""
    return int(os.environ.get("RANK", "0"))


def on_this_machine() -> int:
    """The number of this process among those on this machine, and so of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@dataclass(frozen=True, slots=True)
class Begin:
    """What helpers load: the job's folder, and the base model's."""

    folder: Path
    base: Path


@dataclass(frozen=True, slots=True)
class KeepLower:
    """Asks for what the frozen layers give to be kept in one stage."""

    stage: Phase


@dataclass(frozen=True, slots=True)
class Refer:
    """Asks for the base model to be asked about the pairs of one stage."""

    stage: Phase


@dataclass(frozen=True, slots=True)
class Learn:
    """Asks for the gradients of a batch in one stage."""

    stage: Phase
    batch: tuple[int, ...]


Message = Begin | KeepLower | Refer | Learn | None
"""What the leader sends; None says that the run is over."""


class Ranks:
    """A run of one process; `training.collective.Leader` has helpers."""

    size = 1

    def send(self, message: Message) -> None:
        """Tell the helpers something."""

    def ready(self) -> None:
        """Wait until all helpers have loaded what `Begin` named."""

    def learn(self, stage: Phase, batch: Sequence[int], parameters: Iterable[Any], compute: Compute) -> float:
        """Put a batch's gradients in place, by all processes together.

        Args:
            stage: the name of the stage's training phase.
            batch: by index.
            parameters: the weights that learn, in the order that all processes have them in.
            compute: this process' own part.

        Returns:
            The batch's loss.

        Raises:
            HelperError: a helper is gone.
        """
        return compute(batch)
