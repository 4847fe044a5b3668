"""Attention over packed rows: each example sees the prefix and its own past.

Dense attention under the mask that `training/layout.py` draws would compute every pair of tokens
and throw most of them away. Here it is computed in two parts, none of which needs a mask:

    within   each segment (the prefix, each example) sees its own past: causal, block by block
    prefix   the examples' tokens see all of the prefix: a dense rectangle

Softmax over both parts is put together from their log-sum-exps (Milakov and Gimelshein 2018,
arXiv 1805.02867; the parts are those of Juravsky et al. 2024, arXiv 2402.05099). Backward needs no
formula of its own: a flash kernel given the *merged* output and log-sum-exp computes exactly its
part of the gradients, because both enter only through P = exp(S - lse) and delta = sum(dO * O).
For bf16 on a processor the gradients are computed by `training/attention_products.py` instead, where
there are more than a few keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from training.attention_products import product_gradients
from training.machine import has_bf16_tiles
from training.segments import Padding, Segments

NAME = "overrule"
"""What transformers calls this attention."""

_aten = torch.ops.aten

_FEW_KEYS = 64
"""Over no more keys the gradients of bf16 states are computed in fp32, by one kernel: products of so few
would be many small ones, which take up to four times as long."""


class Posts(Protocol):
    """Posts behind a prefix, which know what their tokens see (`training/continuation.py`)."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of a layer, (1, heads, T, d) as the query."""


def register() -> None:
    """Make the attention known to transformers under `NAME`."""
    AttentionInterface.register(NAME, _forward)
    # Where no row is packed, as in scoring and generation, masks are made and used as always.
    AttentionMaskInterface.register(NAME, sdpa_mask)


def _forward(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    segments: Segments | None = None,
    posts: Posts | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it; `segments` or `posts` come from the call of the decoder.

    Args:
        query: (1, heads, T, d).
        key: (1, key heads, T, d), like `value`.

    Returns:
        (1, T, heads, d), and no weights.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if segments is not None:
        output = packed_attention(query, key, value, segments, scale)
    elif posts is not None:
        output = posts.attend(int(module.layer_idx), query, key, value, scale)  # type: ignore[arg-type]
    else:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return plain
    return output.transpose(1, 2).contiguous(), None


def _padding(query: Tensor, segments: Segments) -> Padding:
    # Whether further calls pay was measured on processors only.
    return segments.padding(query.device, alike=not query.is_cuda)


def packed_attention(query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float) -> Tensor:
    """Attention of a packed row.

    Args:
        query: (1, heads, T, d).
        key: (1, key heads, T, d); heads is a multiple of key heads.
        value: like `key`.
        segments: how the T tokens are divided.
        scale: what scores are multiplied by.

    Returns:
        (1, heads, T, d), equal to dense attention under `segments.mask` up to rounding.
    """
    if query.is_cuda and query.dtype not in (torch.float16, torch.bfloat16):
        # The GPU's kernels know only the short types.
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, segments.mask.to(query.device), scale=scale, enable_gqa=True
        )
    output: Tensor = _Packed.apply(query, key, value, segments, scale)  # type: ignore[no-untyped-call]
    return output


class _Forward(NamedTuple):
    """What attention is computed from: (n, heads, queries, d) and twice (n, key heads, keys, d)."""

    query: Tensor
    key: Tensor
    value: Tensor

    def block(self, queries: slice, keys: slice) -> _Forward:
        """The part of some queries over some keys."""
        return _Forward(self.query[:, :, queries], self.key[:, :, keys], self.value[:, :, keys])


class _Backward(NamedTuple):
    """What gradients are computed from; output and log-sum-exp are those of all parts together."""

    gradient: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    lse: Tensor

    def block(self, queries: slice, keys: slice) -> _Backward:
        """The part of some queries over some keys."""
        gradient, query, output, lse = (
            states[:, :, queries] for states in (self.gradient, self.query, self.output, self.lse)
        )
        return _Backward(gradient, query, self.key[:, :, keys], self.value[:, :, keys], output, lse)


_Row = TypeVar("_Row", _Forward, _Backward)


def _batches(row: _Row, segments: Segments, padding: Padding) -> Iterator[_Row]:
    """What of a row is its examples', batch by batch."""
    of_examples = (padding.padded(states[:, :, segments.prefix :]) for states in row)
    return (type(row)(*batch) for batch in zip(*of_examples, strict=True))


class _Packed(torch.autograd.Function):
    """Attention of a row in its two parts."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float
    ) -> Tensor:
        row = _Forward(*_as_computed(query, key, value))
        output, lse = torch.empty_like(row.query), query.new_empty(query.shape[:3], dtype=torch.float32)
        prefix, examples = slice(segments.prefix), slice(segments.prefix, None)
        padding = _padding(query, segments)
        parts = [_kernel(batch, True, scale) for batch in _batches(row, segments, padding)]
        own, own_lse = map(padding.unpadded, zip(*parts, strict=True))
        if segments.prefix:
            output[:, :, prefix], lse[:, :, prefix] = _kernel(row.block(prefix, prefix), True, scale)
            own, own_lse = merged(own, own_lse, *_kernel(row.block(examples, prefix), False, scale))
        output[:, :, examples], lse[:, :, examples] = own, own_lse
        output = output.to(query.dtype)
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.segments, ctx.scale = segments, scale
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, output, lse = ctx.saved_tensors
        segments, scale = ctx.segments, ctx.scale
        row = _Backward(gradient, query, key, value, output, lse)
        prefix, examples = slice(segments.prefix), slice(segments.prefix, None)
        padding = _padding(query, segments)
        # What pads a batch has neither output nor gradient, so it adds nothing; its log-sum-exp is 0.
        parts = [_gradients(batch, True, scale) for batch in _batches(row, segments, padding)]
        own = list(map(padding.unpadded, zip(*parts, strict=True)))
        found = [part.new_empty(whole.shape) for whole, part in zip((query, key, value), own, strict=True)]
        for whole, part in zip(found, own, strict=True):
            whole[:, :, examples] = part
        if segments.prefix:
            within = _gradients(row.block(prefix, prefix), True, scale)
            for whole, part in zip(found, within, strict=True):
                whole[:, :, prefix] = part
            across = _gradients(row.block(examples, prefix), False, scale)
            for whole, part, where in zip(found, across, (examples, prefix, prefix), strict=True):
                whole[:, :, where] += part
        by_query, by_key, by_value = (whole.to(query.dtype) for whole in found)
        return by_query, by_key, by_value, None, None


def merged(output: Tensor, lse: Tensor, other: Tensor, other_lse: Tensor) -> tuple[Tensor, Tensor]:
    """Two attentions of the same queries over different keys, as one."""
    share = torch.sigmoid(lse - other_lse)[..., None]
    mixed = torch.lerp(other.float(), output.float(), share).to(output.dtype)
    return mixed, torch.logaddexp(lse, other_lse)


def attend(query: Tensor, key: Tensor, value: Tensor, *, causal: bool, scale: float) -> tuple[Tensor, Tensor]:
    """Attention of a batch without gradients.

    Args:
        query: (n, heads, queries, d).
        key: (n, key heads, keys, d), like `value`.
        causal: whether a token sees its own past only; else it sees all keys.
        scale: what scores are multiplied by.

    Returns:
        The output, (n, heads, queries, d), and the log-sum-exp of the scores, (n, heads, queries) in fp32.
    """
    if query.is_cuda and query.dtype == torch.float32:
        # The GPU's kernels know only the short types.
        seen = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
        return attend_under((seen.tril_() if causal else seen)[None], query, key, value, scale)
    return _kernel(_Forward(*_as_computed(query, key, value)), causal, scale)


def attend_under(
    sees: Tensor, query: Tensor, key: Tensor, value: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The same under any mask, (n or 1, queries, keys) True where a query sees a key.

    A query has to see a key at least. For few queries: on a GPU all their scores are there at once.
    """
    n, heads, queries, size = query.shape
    # The heads that share keys become queries of one, so that no key is copied or read twice.
    folded = query.reshape(n, key.shape[1], -1, size)
    sees = sees.repeat(1, heads // key.shape[1], 1)[:, None]
    if query.is_cuda:
        scores = (folded.float() * scale) @ key.float().transpose(2, 3)
        scores = scores.masked_fill(~sees, float("-inf"))
        lse = torch.logsumexp(scores, dim=-1)
        output = (scores - lse[..., None]).exp() @ value.float()
    else:
        given = _Forward(*_as_computed(folded, key, value))
        mask = given.query.new_zeros(sees.shape).masked_fill_(~sees, float("-inf"))
        output, lse = _kernel(given, False, scale, mask)
    return output.reshape(n, heads, queries, size), lse.reshape(n, heads, queries)


def _as_computed(*states: Tensor) -> tuple[Tensor, ...]:
    """On a processor without bf16 matrices in fp32: its kernel is slower in bf16 there, or no faster."""
    return states if states[0].is_cuda or has_bf16_tiles() else tuple(each.float() for each in states)


def _kernel(given: _Forward, causal: bool, scale: float, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Flash attention of a batch: the output, (n, heads, queries, d), and the log-sum-exp in fp32.

    A mask that is added to the scores, (n or 1, 1, queries, keys), is for processors only.
    """
    if given.query.is_cuda:
        found = _aten._scaled_dot_product_flash_attention(*given, 0.0, causal, scale=scale)
    else:
        found = _aten._scaled_dot_product_flash_attention_for_cpu(
            *given, 0.0, causal, attn_mask=mask, scale=scale
        )
    return found[0], found[1]


def _gradients(given: _Backward, causal: bool, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of a batch's queries, keys and values."""
    if given.query.is_cuda:
        # Without dropout the state of the random generator is not read.
        unread = torch.zeros(2, dtype=torch.uint64, device=given.query.device)
        lengths = given.query.shape[2], given.key.shape[2]
        found = _aten._scaled_dot_product_flash_attention_backward(
            *given._replace(lse=given.lse.contiguous()),
            *(None, None, *lengths, 0.0, causal, unread, unread),
            scale=scale,
        )
    elif given.query.dtype == torch.bfloat16 and given.key.shape[2] > _FEW_KEYS:
        found = product_gradients(*given, causal, scale)
    else:
        in_fp32 = _Backward(*(each.float() for each in given))
        found = _aten._scaled_dot_product_flash_attention_for_cpu_backward(*in_fp32, 0.0, causal, scale=scale)
    return found[0], found[1], found[2]
