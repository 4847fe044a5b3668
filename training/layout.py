"""Packed rows: a prefix once, then many examples that see it and themselves only.

                 keys →  prefix   example 1   example 2
    queries ↓  prefix      ◣
               example 1   ■          ◣
               example 2   ■                      ◣

Positions of each example go on from the prefix, so every token is computed as if its example
stood alone. The prefix' own states do not depend on the examples; hence loss and gradients equal
those of one example at a time, the prefix is computed once a row, and no example is padded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from training.prompt import Example
from training.rows import rows_of, tokens_of
from training.segments import Segments


@dataclass(frozen=True, slots=True)
class PackedRow:
    """One row of tokens.

    Attributes:
        ids: (T,) token ids.
        positions: (T,) the position of each token within its own example.
        segments: where the prefix and each example lie.
        learned_from: (L,) the tokens whose output predicts a learned token.
        targets: (L,) the learned tokens.
        weights: (L,) how much each counts in the loss; None where all count 1.
        examples: what lies in it, in this order.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    segments: Segments
    learned_from: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor | None
    examples: tuple[Example, ...]

    def filled(self, multiple: int) -> PackedRow:
        """The same with tokens behind it that nobody sees, so that their number is a multiple."""
        missing = -len(self.ids) % multiple
        if not missing:
            return self
        return replace(
            self,
            ids=functional.pad(self.ids, (0, missing)),
            positions=functional.pad(self.positions, (0, missing)),
            segments=Segments(self.segments.prefix, (*self.segments.lengths, missing)),
        )

    def to(self, device: torch.device) -> PackedRow:
        """The same row on a device."""
        if device.type == "cpu":
            return self
        return PackedRow(
            self.ids.to(device),
            self.positions.to(device),
            self.segments,
            self.learned_from.to(device),
            self.targets.to(device),
            None if self.weights is None else self.weights.to(device),
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
    return sum(tokens_of(row) for row in rows_of(examples, budget))


def smaller_budget(examples: Sequence[Example], budget: int) -> int | None:
    """Half the tokens of the longest row that can be split, or None where each example is alone already."""
    lengths = [tokens_of(row) for row in rows_of(examples, budget) if len(row) > 1]
    return max(lengths) // 2 if lengths else None


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
        segments=Segments(len(prefix), tuple(blocks)),
        learned_from=torch.tensor(learned),
        targets=torch.tensor(targets),
        weights=_weights(examples),
        examples=tuple(examples),
    )


def _weights(examples: list[Example]) -> torch.Tensor | None:
    weights = [example.weight for example in examples]
    if all(weight == 1 for weight in weights):
        return None
    lengths = torch.tensor([len(example.answer) for example in examples])
    return torch.repeat_interleave(torch.tensor(weights), lengths)
