"""The gradients of an objective, of a whole batch or of a share of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from training.fitting import in_rows_that_fit
from training.objective import Objective


class Gradients:
    """Puts gradients in place at a student's weights.

    Args:
        objective: what is learned.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._parameters = objective.student.trained_parameters()

    def add(self, batch: Sequence[int], share: Sequence[int]) -> float:
        """Add a share's gradients; its loss is summed over its rows and divided once, for the whole batch.

        Returns:
            Its part of the batch's loss.
        """
        weight = self._objective.weight(batch)
        # Added up where it is computed: asking for each row's would make a GPU wait for this process.
        total = torch.zeros((), dtype=torch.float64, device=self._objective.student.device)
        for of_row, _ in self._objective.losses(share):
            loss = of_row / weight
            torch.autograd.backward(loss)
            total += loss.detach()
        return total.item()

    def anew(self, batch: Sequence[int], share: Sequence[int]) -> float:
        """The same from none, in rows that fit into memory.

        Raises:
            MemoryShortError: an example does not fit alone.
        """
        student, examples = self._objective.student, self._objective.examples_of(share)
        return in_rows_that_fit(student, examples, lambda: self._from_none(batch, share))

    def without_number(self, batch: Sequence[int]) -> list[int]:
        """Those of a batch whose loss or gradients, each computed alone, are not finite.

        What is in place of gradients afterwards means nothing.
        """
        return [index for index in batch if not self._is_finite([index])]

    def _is_finite(self, alone: Sequence[int]) -> bool:
        loss = self.anew(alone, alone)
        gradients = [weight.grad for weight in self._parameters.values() if weight.grad is not None]
        return math.isfinite(loss) and bool(torch.nn.utils.get_total_norm(gradients).isfinite())

    def _from_none(self, batch: Sequence[int], share: Sequence[int]) -> float:
        # What an attempt that failed has added is gone.
        for parameter in self._parameters.values():
            parameter.grad = None
        return self.add(batch, share)
