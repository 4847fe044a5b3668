"""How a packed row is divided, who sees whom in it, and its examples as batches of equal lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

_WORTH_A_CALL = 30_000
"""Pairs of tokens in padding: a further call that saves so many takes less time, measured on processors."""


@dataclass(frozen=True)
class Segments:
    """How a row of T tokens is divided: the prefix first, then one segment for each example.

    Attributes:
        prefix: tokens of the prefix, P; may be 0.
        lengths: tokens of each example behind it; T = P + sum(lengths).
    """

    prefix: int
    lengths: tuple[int, ...]

    @property
    def longest(self) -> int:
        """Tokens of the longest example."""
        return max(self.lengths)

    def padding(self, device: torch.device, *, alike: bool = False) -> Padding:
        """How the examples lie as batches of equal lengths: as one, or those of like lengths together."""
        return _padding(self, alike, device)

    @cached_property
    def mask(self) -> Tensor:
        """The same as a dense mask, (T, T) True where the query (first axis) sees the key."""
        return shared_prefix_mask(self.prefix, self.lengths)


@dataclass(frozen=True)
class Padding:
    """A row's examples as batches, each padded to its longest.

    Attributes:
        shapes: examples and tokens of the longest, n and l, of each batch.
        slots: (T - P,) where each of the examples' tokens lies, all batches one behind another.
    """

    shapes: tuple[tuple[int, int], ...]
    slots: Tensor

    def padded(self, states: Tensor) -> tuple[Tensor, ...]:
        """The batches, each (n, H, l, …), of the examples' states, (1, H, T - P, …)."""
        by_token = states[0].transpose(0, 1)
        sizes = [count * longest for count, longest in self.shapes]
        flat = states.new_zeros(sum(sizes), *by_token.shape[1:])
        flat[self.slots] = by_token
        parts = zip(torch.split(flat, sizes), self.shapes, strict=True)
        return tuple(part.view(*shape, *part.shape[1:]).transpose(1, 2) for part, shape in parts)

    def unpadded(self, batches: Sequence[Tensor]) -> Tensor:
        """Back again."""
        flat = [batch.transpose(1, 2).flatten(0, 1) for batch in batches]
        # One is not copied.
        joined = flat[0] if len(flat) == 1 else torch.cat(flat)
        return joined[self.slots].transpose(0, 1)[None]


@lru_cache(maxsize=16)
def _padding(segments: Segments, alike: bool, device: torch.device) -> Padding:
    """The same for all layers of a row, so that a GPU is sent it once."""
    lengths = segments.lengths
    examples = list(range(len(lengths)))
    batches = _parted(sorted(examples, key=lengths.__getitem__), lengths) if alike else [examples]
    shapes = tuple((len(batch), max(lengths[example] for example in batch)) for batch in batches)
    starts, start = [0] * len(lengths), 0
    for batch, (count, longest) in zip(batches, shapes, strict=True):
        for at, example in enumerate(batch):
            starts[example] = start + at * longest
        start += count * longest
    slots = torch.cat([torch.arange(length) + at for length, at in zip(lengths, starts, strict=True)])
    return Padding(shapes, slots.to(device))


def _parted(by_length: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """Examples, the shortest first, in parts that each are worth a call of their own."""
    longest = lengths[by_length[-1]]
    saved = [at * (longest**2 - lengths[by_length[at - 1]] ** 2) for at in range(1, len(by_length))]
    most = max(saved, default=0)
    if most < _WORTH_A_CALL:
        return [by_length]
    at = saved.index(most) + 1
    return _parted(by_length[:at], lengths) + _parted(by_length[at:], lengths)


def shared_prefix_mask(prefix: int, lengths: Sequence[int]) -> Tensor:
    """Who sees whom in a packed row, (T, T) bool with T = prefix + sum(lengths)."""
    owner = torch.repeat_interleave(torch.arange(len(lengths) + 1), torch.tensor([prefix, *lengths]))
    sees = (owner[:, None] == owner[None, :]) | (owner[None, :] == 0)
    return sees.tril_()
