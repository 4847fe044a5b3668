"""What the processes of one run send each other: messages, weights and gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
import torch.distributed as dist

# For what its import does. Its functions have the group of the moment as a default argument, and
# transformers imports it: after `join`, they would hold the group past `leave`, which then ends none
# of the group's threads. One that still dropped its last message when the interpreter ended was
# refused the interpreter's lock and aborted the process (pytorch/pytorch issue 190489).
import torch.distributed.nn.functional
from torch import Tensor

from training import ranks
from training.memory import is_out_of_memory
from training.progress import Phase
from training.ranks import Begin, Compute, Learn, Message, Ranks

_PATIENCE = timedelta(days=7)
"""Helpers wait while the leader validates and scores, however long that takes."""

_CPU = torch.device("cpu")


class HelperError(Exception):
    """Another process of the run ended before its time, or could not go on."""

    hint = "What it said stands in the output of torchrun. Resume goes on from the last checkpoint."


def join() -> None:
    """Meet the other processes: gradients on GPUs go by NCCL, everything else by gloo."""
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)


def leave() -> None:
    """Part from the other processes, and end the threads that spoke with them."""
    dist.destroy_process_group()


class Leader(Ranks):
    """The process that decides."""

    def __init__(self) -> None:
        self.size = ranks.count()
        self._loading = False

    def send(self, message: Message) -> None:
        """Tell the helpers something.

        Raises:
            HelperError: one is gone.
        """
        with _gone_if_it_fails():
            dist.broadcast_object_list([message], src=0, device=_CPU)
        self._loading = isinstance(message, Begin)

    def ready(self) -> None:
        """Wait until all helpers have loaded.

        Raises:
            HelperError: one could not.
        """
        self._loading = False
        agree(None)

    def learn(
        self, stage: Phase, batch: Sequence[int], parameters: Iterable[Tensor], compute: Compute
    ) -> float:
        """Put a batch's gradients in place, by all processes together."""
        self.send(Learn(stage, tuple(batch)))
        return together(batch, list(parameters), compute)

    def close(self) -> None:
        """Let the helpers go."""
        with suppress(HelperError):
            if self._loading:
                agree(HelperError("the leader could not load the job"))
            self.send(None)
        leave()


def receive() -> Message:
    """What the leader sends next."""
    box: list[Message] = [None]
    with _gone_if_it_fails():
        dist.broadcast_object_list(box, src=0, device=_CPU)
    return box[0]


def agree(error: Exception | None) -> None:
    """Hear whether all processes could do their part.

    Args:
        error: why this one could not.

    Raises:
        Exception: `error` itself.
        HelperError: another one could not; the message is its own.
    """
    said: list[str | None] = [None] * ranks.count()
    with _gone_if_it_fails():
        dist.all_gather_object(said, None if error is None else str(error))
    if error is not None:
        raise error
    for number, why in enumerate(said):
        if why is not None:
            raise HelperError(f"process {number + 1} of {len(said)} could not go on: {why}")


@contextmanager
def own_part() -> Iterator[None]:
    """Inside, this process does its part; then it hears whether all could.

    Raises:
        Exception: what was raised inside.
        HelperError: another process could not do its part.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the others wait to hear of it
        agree(error)
    else:
        agree(None)


def together(batch: Sequence[int], parameters: Sequence[Tensor], compute: Compute) -> float:
    """A batch's loss and gradients at the leader's weights; N processes compute every Nth example each.

    Raises:
        HelperError: another process is gone, or could not compute its share.
    """
    _take_weights(parameters)
    with own_part():
        loss = compute(batch[ranks.own() :: ranks.count()])
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
    whole = torch.cat([gradient.reshape(-1) for gradient in gradients])
    summed = torch.tensor(loss, dtype=torch.float64)
    with _gone_if_it_fails():
        dist.all_reduce(whole)
        dist.all_reduce(summed)
    for parameter, gradient in zip(parameters, _split(whole, parameters), strict=True):
        parameter.grad = gradient
    return summed.item()


@torch.no_grad()
def _take_weights(parameters: Sequence[Tensor]) -> None:
    weights = torch.cat([parameter.reshape(-1) for parameter in parameters])
    with _gone_if_it_fails():
        dist.broadcast(weights, src=0)
    for parameter, weight in zip(parameters, _split(weights, parameters), strict=True):
        parameter.copy_(weight)


def _split(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    parts = torch.split(flat, [tensor.numel() for tensor in like])
    return [part.view_as(tensor) for part, tensor in zip(parts, like, strict=True)]


@contextmanager
def _gone_if_it_fails() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise HelperError(f"another process of this run is gone: {error}") from error
