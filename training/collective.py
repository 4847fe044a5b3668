"""What the processes of one run send each other: messages, weights and gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from training import ranks
from training.progress import Phase
from training.ranks import Compute, Learn, Message, Ranks

_PATIENCE = timedelta(days=7)
"""Helpers wait while the leader validates and scores, however long that takes."""


class HelperError(Exception):
    """Another process of the run ended before its time."""

    hint = "What it said stands in the output of torchrun. Resume goes on from the last checkpoint."


def join() -> None:
    """Meet the other processes: gradients on GPUs go by NCCL, everything else by gloo."""
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)


def leave() -> None:
    """Part from the other processes."""
    dist.destroy_process_group()


class Leader(Ranks):
    """The process that decides."""

    def __init__(self) -> None:
        self.size = ranks.count()
        self._in_step = False

    def send(self, message: Message) -> None:
        """Tell the helpers something.

        Raises:
            HelperError: one is gone.
        """
        try:
            dist.broadcast_object_list([message], src=0, device=torch.device("cpu"))
        except RuntimeError as error:
            raise _gone(error) from error

    def learn(
        self, stage: Phase, batch: Sequence[int], parameters: Iterable[Tensor], compute: Compute
    ) -> float:
        """Put a batch's gradients in place, by all processes together."""
        self.send(Learn(stage, tuple(batch)))
        self._in_step = True
        loss = together(batch, list(parameters), compute)
        self._in_step = False
        return loss

    def close(self) -> None:
        """Let the helpers go. In the midst of a step they cannot listen: they end with this process."""
        if not self._in_step:
            with suppress(HelperError):
                self.send(None)
                leave()


def receive() -> Message:
    """What the leader sends next."""
    box: list[Message] = [None]
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def together(batch: Sequence[int], parameters: Sequence[Tensor], compute: Compute) -> float:
    """A batch's loss and gradients at the leader's weights; N processes compute every Nth example each.

    Raises:
        HelperError: another process is gone.
    """
    try:
        weights = _flat(parameters)
        dist.broadcast(weights, src=0)
        with torch.no_grad():
            for parameter, weight in zip(parameters, _split(weights, parameters), strict=True):
                parameter.copy_(weight)
    except RuntimeError as error:
        raise _gone(error) from error
    loss = torch.tensor(compute(batch[ranks.own() :: ranks.count()]), dtype=torch.float64)
    gradients = _flat([torch.zeros_like(each) if each.grad is None else each.grad for each in parameters])
    try:
        dist.all_reduce(gradients)
        dist.all_reduce(loss)
    except RuntimeError as error:
        raise _gone(error) from error
    for parameter, gradient in zip(parameters, _split(gradients, parameters), strict=True):
        parameter.grad = gradient
    return loss.item()


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _split(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    parts = torch.split(flat, [tensor.numel() for tensor in like])
    return [part.view_as(tensor) for part, tensor in zip(parts, like, strict=True)]


def _gone(error: RuntimeError) -> HelperError:
    return HelperError(f"another process of this run is gone: {error}")
