"""Packed rows: a prefix once, then many examples that see it and themselves only.

                 keys →  prefix   example 1   example 2
    queries ↓  prefix      ◣
               example 1   ■          ◣
               example 2   ■                      ◣

Positions of each example go on from the prefix, so every token is computed as if its example
stood alone. The prefix' own states do not depend on the examples; hence loss and gradients equal
those of one example at a time, the prefix is computed once a row, and there is no padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from training.prompt import Example
from training.rows import rows_of


@dataclass(frozen=True, slots=True)
class PackedRow:
    """One row of tokens.

    Attributes:
        ids: (T,) token ids.
        positions: (T,) the position of each token within its own example.
        mask: (T, T) True where the query (first axis) sees the key; None for plain causal.
        learned_from: (L,) the tokens whose output predicts a learned token.
        targets: (L,) the learned tokens.
        examples: how many examples lie in it.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor | None
    learned_from: torch.Tensor
    targets: torch.Tensor
    examples: int

    def to(self, device: torch.device) -> PackedRow:
        """The same row on a device."""
        if device.type == "cpu":
            return self
        return PackedRow(
            self.ids.to(device),
            self.positions.to(device),
            None if self.mask is None else self.mask.to(device),
            self.learned_from.to(device),
            self.targets.to(device),
            self.examples,
        )


def pack(examples: Sequence[Example], budget: int) -> Iterator[PackedRow]:
    """Lay examples into rows of at most `budget` tokens, those with the same prefix together.

    An example longer than the budget gets a row of its own. Any budget gives the same loss and
    gradients up to rounding; a smaller one needs less memory and computes the prefix more often.
    """
    for row in rows_of(examples, budget):
        yield _row(row)


def tokens_computed(examples: Sequence[Example], budget: int) -> int:
    """Tokens in the packed rows of these examples, a prefix counted as often as it is computed."""
    return sum(
        len(row[0].prefix) + sum(len(example) - len(example.prefix) for example in row)
        for row in rows_of(examples, budget)
    )


def _row(examples: list[Example]) -> PackedRow:
    prefix = examples[0].prefix
    ids = list(prefix)
    positions = list(range(len(prefix)))
    blocks: list[int] = []
    learned: list[int] = []
    targets: list[int] = []
    for example in examples:
        own = example.post + example.suffix + example.answer
        # The learned tokens are found by the answer's length, never by a token's id: the end
        # token is learned although it is often the pad token too.
        first = len(ids) + len(own) - len(example.answer)
        learned.extend(range(first - 1, first - 1 + len(example.answer)))
        targets.extend(example.answer)
        ids.extend(own)
        positions.extend(range(len(prefix), len(prefix) + len(own)))
        blocks.append(len(own))
    return PackedRow(
        ids=torch.tensor(ids),
        positions=torch.tensor(positions),
        mask=shared_prefix_mask(len(prefix), blocks) if len(examples) > 1 else None,
        learned_from=torch.tensor(learned),
        targets=torch.tensor(targets),
        examples=len(examples),
    )


def shared_prefix_mask(prefix: int, blocks: Sequence[int]) -> torch.Tensor:
    """The mask drawn above, (T, T) bool with T = prefix + sum(blocks)."""
    owner = torch.repeat_interleave(torch.arange(len(blocks) + 1), torch.tensor([prefix, *blocks]))
    sees = (owner[:, None] == owner[None, :]) | (owner[None, :] == 0)
    return sees.tril_()
