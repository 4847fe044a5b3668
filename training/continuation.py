"""Posts that go on behind one prefix, what was computed of each being kept.

Scores and written answers need many short continuations of the same long prompt. Here the prefix is
computed once, each post once behind it, and then only the tokens that are asked for: branches of the
tree of answers, or what a student writes. The tokens of a call lie one behind another without
padding, whichever posts they belong to, so that a layer is one product of matrices. Attention is
computed in two parts, as in `training/attention.py`:

    prefix   all tokens see all of the prefix: one dense rectangle, however many posts there are
    own      each token sees what it may of its own post

The keys and values of the posts are kept as a batch: a post has a row, and its tokens have slots there.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from training.attention import attend, attend_under, merged
from training.segments import Segments

if TYPE_CHECKING:
    from training.student import Student

_SLOTS = 16
"""Rows grow by a multiple of so many slots, because growing copies them."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix' keys and values, one pair a layer, each (1, key heads, P, head size)."""

    length: int
    states: tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class Fed:
    """Tokens with which posts go on, K in all.

    Attributes:
        posts: (K,) the post of each token, in rising order.
        ids: (K,) token ids.
        positions: (K,) how far each stands behind the prefix, from 0.
        slots: (K,) where each is kept in its post's row.
        sees: (K, S) True where a token sees a slot of its post's row, its own among them.
    """

    posts: Tensor
    ids: Tensor
    positions: Tensor
    slots: Tensor
    sees: Tensor

    @classmethod
    def following(cls, tokens: Sequence[Sequence[int]], slots: Sequence[int]) -> Fed:
        """Some tokens of every post one after another, each of which sees all before it.

        Args:
            tokens: of each post, one at least.
            slots: where the first of each is kept, which is how far it stands behind the prefix.
        """
        lengths = torch.tensor([len(each) for each in tokens])
        at = torch.cat([torch.arange(len(each)) + slot for each, slot in zip(tokens, slots, strict=True)])
        return cls(
            torch.arange(len(tokens)).repeat_interleave(lengths),
            torch.tensor([token for each in tokens for token in each]),
            at,
            at,
            torch.arange(int(at.max()) + 1) <= at[:, None],
        )

    def to(self, device: torch.device) -> Fed:
        """The same on a device."""
        return Fed(*(getattr(self, field.name).to(device) for field in fields(self)))

    @cached_property
    def batch(self) -> tuple[Tensor, Segments]:
        """The posts that go on, (R,), and how many tokens each has."""
        rows, counts = torch.unique_consecutive(self.posts, return_counts=True)
        return rows, Segments(0, tuple(counts.tolist()))

    @cached_property
    def mask(self) -> Tensor:
        """(R, most tokens of a post, S) True where a token sees a slot; what fills up the batch sees all."""
        rows, segments = self.batch
        mask = self.sees.new_ones(len(rows) * segments.longest, self.sees.shape[1])
        mask[segments.padding(mask.device).slots] = self.sees
        return mask.view(len(rows), segments.longest, -1)


class Continuation:
    """B posts behind a prefix.

    Attributes:
        last: (B, D) the hidden state of each post's last token, as it was when the post was given.
    """

    def __init__(self, student: Student, prefix: Prefix, tails: Sequence[Sequence[int]]) -> None:
        """Compute what follows the prefix of each post; no tail may be empty."""
        self._student = student
        self._prefix = prefix
        self._given = Segments(0, tuple(map(len, tails)))
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._fed: Fed | None = None
        ids = torch.tensor([token for tail in tails for token in tail])
        positions = torch.cat([torch.arange(len(tail)) for tail in tails])
        ends = torch.tensor(self._given.lengths).cumsum(0) - 1
        self.last = student.hidden_behind(prefix, ids, positions, self)[ends.to(student.device)]

    def go_on(self, fed: Fed) -> Tensor:
        """Compute further tokens and keep what later ones may see of them; gives their last states (K, D)."""
        self._grow(fed.sees.shape[1])
        self._fed = fed.to(self._student.device)
        return self._student.hidden_behind(self._prefix, fed.ids, fed.positions, self)

    def part(self, posts: Sequence[int]) -> Continuation:
        """Some of the posts for themselves, numbered anew in this order; what is kept of them is copied."""
        at = torch.tensor(posts, dtype=torch.long, device=self._student.device)
        part = copy(self)
        part._kept = [(keys[at], values[at]) for keys, values in self._kept]
        part.last = self.last[at]
        return part

    def as_prefix(self) -> Prefix:
        """What was computed of the one post there is, for others that begin with it."""
        return Prefix(self._given.longest, tuple(self._kept))

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of the tokens of a call.

        Args:
            layer: which; they are computed in order.
            query: (1, heads, T, d).
            key: (1, key heads, T, d), like `value`.
            scale: what scores are multiplied by.

        Returns:
            (1, heads, T, d).
        """
        if self._fed is None:
            own = self._given_posts(query, key, value, scale)
        else:
            own = self._further_tokens(self._fed, layer, query, key, value, scale)
        if not self._prefix.length:
            return own[0].to(query.dtype)
        over_prefix = attend(query, *self._prefix.states[layer], causal=False, scale=scale)
        return merged(*own, *over_prefix)[0].to(query.dtype)

    def _given_posts(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """Each post over its own past."""
        padding = self._given.padding(query.device)
        (queries,), (keys,), (values,) = map(padding.padded, (query, key, value))
        self._kept.append((keys, values))
        output, lse = attend(queries, keys, values, causal=True, scale=scale)
        return padding.unpadded([output]), padding.unpadded([lse])

    def _further_tokens(
        self, fed: Fed, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float
    ) -> tuple[Tensor, Tensor]:
        """Each token over what it sees of its post."""
        keys, values = self._kept[layer]
        keys[fed.posts, :, fed.slots] = key[0].transpose(0, 1)
        values[fed.posts, :, fed.slots] = value[0].transpose(0, 1)
        rows, segments = fed.batch
        if len(rows) < len(keys):
            keys, values = keys[rows], values[rows]
        seen = slice(fed.sees.shape[1])
        padding = segments.padding(query.device)
        (queries,) = padding.padded(query)
        output, lse = attend_under(fed.mask, queries, keys[:, :, seen], values[:, :, seen], scale)
        return padding.unpadded([output]), padding.unpadded([lse])

    def _grow(self, slots: int) -> None:
        """Make room for so many slots in each row."""
        missing = slots - self._kept[0][0].shape[2]
        if missing > 0:
            more = -(-missing // _SLOTS) * _SLOTS
            room = (0, 0, 0, more)
            self._kept = [(pad(keys, room), pad(values, room)) for keys, values in self._kept]
