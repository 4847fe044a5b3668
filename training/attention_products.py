"""Gradients of attention as matrix products in bf16, for processors with units for them.

PyTorch's own backward kernel for processors multiplies bf16 no faster than fp32, and several times
slower over the short blocks of examples. As matrix products the same work takes half the time. They
round what they give to the 8 bits of bf16, which a score S cannot bear: exp(S) would be off by 4%
at 10. So the log-sum-exp of each query, which backward knows, is subtracted *inside* the product:
three more columns, its bf16 parts, against three more of -1. What is rounded then is
S - lse = ln P, and P is off by at most |ln P| / 2^9 of itself: where P matters, as little as by the
rounding of P to bf16 that every flash kernel does. delta = sum(dO * O) is subtracted inside the
product of dO and V in the same way. The letters are those of Dao 2023 (arXiv 2307.08691,
algorithm 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from training.machine import has_bf16_tiles

_SCORES = 1 << (22 if has_bf16_tiles() else 20)
"""Scores in flight: twice in bf16, so many stay in a processor's cache. Units for tiles multiply larger
matrices so much faster that what lies farther away is the smaller loss."""

_PARTS = 3
"""Numbers of 8 bits that hold the 24 of an fp32."""


def product_gradients(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    lse: Tensor,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a batch's queries, keys and values.

    Args:
        gradient: of the loss by the output, (n, heads, queries, d) bf16, like `query` and `output`.
        query: as in the forward pass.
        key: (n, key heads, keys, d) bf16, like `value`; heads is a multiple of key heads.
        value: as in the forward pass.
        output: of all keys together, also of such as are not among `key`.
        lse: (n, heads, queries) fp32, log-sum-exp of the scaled scores over all keys together.
        causal: query i sees the keys up to i.
        scale: what scores are multiplied by.

    Returns:
        Like `query` and twice like `key`, in fp32.
    """
    size = query.shape[-1]
    # Queries that share their keys lie side by side: (n * key heads, heads to a key head, queries, d).
    shape = key.shape[0] * key.shape[1], query.shape[1] // key.shape[1], *query.shape[2:]
    delta = (gradient.float() * output.float()).sum(-1)
    # A power of two goes into the queries without rounding, and for heads of 64 nothing else is left.
    power = 2.0 ** math.floor(math.log2(scale))
    queries = _less(query * power, lse * (power / scale)).view(*shape[:3], -1)
    gradients = _less(gradient, delta).view(*shape[:3], -1)
    keys, values = (_ones(states.flatten(0, 1)) for states in (key, value))
    by_query = query.new_empty(shape, dtype=torch.float32)
    by_key, by_value = (
        torch.zeros_like(states[..., :size], dtype=torch.float32) for states in (keys, values)
    )
    for heads, rows in _blocks(shape[0], shape[1] * keys.shape[1], shape[2]):
        seen = slice(rows.stop) if causal else slice(None)
        asking, learning = (states[heads, :, rows].flatten(1, 2) for states in (queries, gradients))
        scores = torch.bmm(asking, keys[heads, seen].mT)
        chances = (scores if scale == power else scores.mul_(scale / power)).exp_()
        if causal:
            chances.view(len(chances), shape[1], -1, chances.shape[-1]).tril_(rows.start)
        by_score = torch.bmm(learning, values[heads, seen].mT).mul_(chances)
        by_value[heads, seen] += torch.bmm(chances.mT, learning[..., :size])
        by_key[heads, seen] += torch.bmm(by_score.mT, asking[..., :size])
        by_query[heads, :, rows].copy_(
            torch.bmm(by_score, keys[heads, seen, :size]).view(len(by_score), shape[1], -1, size)
        )
    by_query, by_key = by_query.mul_(scale), by_key.mul_(scale / power)
    return by_query.view(query.shape), by_key.view(key.shape), by_value.view(value.shape)


def _less(states: Tensor, taken: Tensor) -> Tensor:
    """(…, d) with the bf16 parts of (…) in fp32 behind, so that a product with `_ones` is less by it."""
    columns = [states]
    for _ in range(_PARTS):
        columns.append(taken.to(states.dtype)[..., None])
        taken = taken - columns[-1][..., 0].float()
    return torch.cat(columns, -1)


def _ones(states: Tensor) -> Tensor:
    """(n, keys, d) with what `_less` multiplies its parts by."""
    return torch.nn.functional.pad(states, (0, _PARTS), value=-1.0)


def _blocks(heads: int, width: int, queries: int) -> Iterator[tuple[slice, slice]]:
    """Which key heads and which queries are computed at a time; a query has `width` scores in each."""
    rows = min(queries, max(1, _SCORES // width))
    together = max(1, _SCORES // (rows * width))
    for first in range(0, heads, together):
        for start in range(0, queries, rows):
            yield slice(first, first + together), slice(start, min(start + rows, queries))
