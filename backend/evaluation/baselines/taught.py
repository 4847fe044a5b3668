"""What baselines learn from and what they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from backend.evaluation.judged import Bools, Floats, membership

Scorer = Callable[[Sequence[str]], Floats]
"""Texts to probabilities, (n, k + 1): of each category, and last of any violation."""


@dataclass(frozen=True, slots=True)
class Posts:
    """Posts with the labels that are taught.

    Attributes:
        texts: (n).
        labels: (n) category codes of each.
        codes: the policy's k categories.
    """

    texts: Sequence[str]
    labels: Sequence[Sequence[str]]
    codes: Sequence[str]

    @property
    def questions(self) -> Bools:
        """(n, k + 1): whether a post has each category, and last whether it has any."""
        has = membership(self.labels, self.codes)
        return np.column_stack([has, [bool(these) for these in self.labels]]).astype(bool)
