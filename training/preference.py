"""The preference step: direct preference optimisation over packed pairs.

Of each post there are two answers: y⁺, which people gave, and y⁻, the teacher's that they overruled.
With π the student and π₀ the base model, which is the student with its adapter switched off,

    reward(y) = β · (log π(y | post) − log π₀(y | post))
    loss      = −log σ(reward(y⁺) − reward(y⁻)), a mean over a step's pairs

(Rafailov et al. 2023, arXiv 2305.18290, eq. 7). log π(y) is summed over an answer's learned tokens,
the end token among them. A pair lies in one packed row as two examples, so that its loss is
computed where its row is and rows can be summed as they are in the fine-tune.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from training.fitting import in_rows_that_fit
from training.layout import pack
from training.objective import AfterRow, Stage
from training.pairs import Pair
from training.prompt import Example
from training.student import Student, StudentError


class Preferring:
    """The preference step's objective: the loss above, a mean over pairs.

    Args:
        student: with LoRA weights.
        pairs: what is learned.
        names: the row's id of each pair.
        beta: of the loss.

    Raises:
        StudentError: the student has no adapter to switch off.
    """

    stage: ClassVar[Stage] = Stage(
        "preferring", "preferring", "preference_loss", "validation_preference_loss"
    )

    def __init__(self, student: Student, pairs: Sequence[Pair], names: Sequence[Any], beta: float) -> None:
        if not student.adapted:
            raise StudentError(
                "the preference step compares the student with itself without its adapter, and it has none; "
                "switch the step off, or train LoRA weights"
            )
        self.student = student
        self.pairs = pairs
        self.names = names
        self.beta = beta
        self._reference: Tensor | None = None

    def refer(self, after_row: AfterRow) -> None:
        """Ask the base model about all pairs; once, for it never changes."""
        with self.student.base():
            self._reference = self._all_margins(after_row)

    def losses(self, batch: Sequence[int]) -> Iterator[tuple[Tensor, int]]:
        """The loss of each row, summed over its pairs."""
        for row in self._rows(batch):
            gained, tokens = self._gained(row)
            yield -functional.logsigmoid(self.beta * gained).sum(), tokens

    def weight(self, batch: Sequence[int]) -> int:
        """Pairs."""
        return len(batch)

    def tokens(self, batch: Sequence[int]) -> int:
        """Tokens in the packed rows."""
        return sum(
            len(self.pairs[row[0]].chosen.prefix) + sum(_own_tokens(self.pairs[index]) for index in row)
            for row in self._rows(batch)
        )

    def examples_of(self, batch: Sequence[int]) -> list[Example]:
        """Both sides of each pair."""
        return [side for index in batch for side in (self.pairs[index].chosen, self.pairs[index].rejected)]

    def accuracy(self, after_row: AfterRow) -> float:
        """The share of pairs whose chosen answer has the higher reward."""
        gained = self._all_margins(after_row) - self._referred(range(len(self.pairs)))
        return (gained > 0).float().mean().item()

    def _gained(self, row: Sequence[int]) -> tuple[Tensor, int]:
        """How much further apart the answers are than under the base model, (P,), and the row's tokens."""
        margins, tokens = self._margins(row)
        return margins - self._referred(row).to(margins.device), tokens

    def _referred(self, row: Sequence[int]) -> Tensor:
        if self._reference is None:
            raise RuntimeError("the base model is asked before a loss is taken")
        return self._reference[list(row)]

    def _all_margins(self, after_row: AfterRow) -> Tensor:
        """Of all pairs, (N,) on the CPU.

        Raises:
            MemoryShortError: a pair does not fit into memory alone.
        """
        examples = self.examples_of(range(len(self.pairs)))
        return in_rows_that_fit(self.student, examples, lambda: self._margins_by_row(after_row))

    @torch.no_grad()
    def _margins_by_row(self, after_row: AfterRow) -> Tensor:
        found = torch.empty(len(self.pairs))
        for row in self._rows(range(len(self.pairs))):
            margins, tokens = self._margins(row)
            found[row] = margins.cpu()
            after_row(tokens)
        return found

    def _margins(self, row: Sequence[int]) -> tuple[Tensor, int]:
        """The row's log π(y⁺) − log π(y⁻), one a pair (P,), and its tokens."""
        examples = self.examples_of(row)
        # They were chosen to fit, or to be a row of their own: they are not to be split.
        (packed,) = pack(examples, sum(map(len, examples)))
        said = self.student.answer_log_probabilities(packed, [len(one.answer) for one in examples])
        chosen, rejected = said.view(-1, 2).unbind(1)
        return chosen - rejected, len(packed.ids)

    def _rows(self, batch: Sequence[int]) -> Iterator[list[int]]:
        """The pairs of each packed row, those with the same prefix together and none ever split."""
        by_prefix: dict[tuple[int, ...], list[int]] = {}
        for index in batch:
            by_prefix.setdefault(self.pairs[index].chosen.prefix, []).append(index)
        for prefix, same in by_prefix.items():
            row: list[int] = []
            length = len(prefix)
            for index in same:
                own = _own_tokens(self.pairs[index])
                if row and length + own > self.student.row_tokens:
                    yield row
                    row, length = [], len(prefix)
                row.append(index)
                length += own
            yield row


def _own_tokens(pair: Pair) -> int:
    """Both examples' tokens after the prefix."""
    return len(pair.chosen) + len(pair.rejected) - 2 * len(pair.chosen.prefix)
