"""What the labels of a set stand for that are not the policy's, and what a model says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backend.evaluation.frames import Scores
from backend.evaluation.judged import Floats


@dataclass(frozen=True, slots=True)
class LabelMap:
    """What a set's labels stand for: each for the categories of the policy that it is mapped from.

    Attributes:
        label_of: the set's label for each of the policy's codes that has one.
    """

    label_of: Mapping[str, str]

    def labels(self, codes: Sequence[str]) -> list[str]:
        """The labels that a model with these codes can give, in their order."""
        return list(dict.fromkeys(self.label_of[code] for code in codes if code in self.label_of))

    def answer(self, codes: Sequence[str]) -> tuple[str, ...]:
        """What a post with these codes has in the set's labels; a code without one says nothing."""
        return tuple(self.labels(codes))

    def scores(self, scores: Scores) -> Scores:
        """A model's probabilities of the set's labels: each of naming any of its codes.

        For one code that is its own, and for all codes that of any violation. Of several it is the
        highest, which is never above the true one (see `Scores.any_scores`). "Any violation" is any
        of the labels: what the set does not know is not held against a model.

        Args:
            scores: over the policy's codes.

        Returns:
            Of the same posts over the labels that the model can give.
        """
        labels = self.labels(scores.codes)
        columns = [self._of(label, scores) for label in labels]
        values = np.column_stack(columns) if columns else np.empty((len(scores.ids), 0))
        whole = all(code in self.label_of for code in scores.codes)
        return Scores(scores.ids, tuple(labels), values, scores.any_violation if whole else None)

    def refused(self, label: str) -> str:
        """Why a model that cannot give a label is not judged on it."""
        codes = [code for code, mapped in self.label_of.items() if mapped == label]
        if not codes:
            return "No category of the policy stands for it."
        return f"The model knows none of its categories: {', '.join(codes)}."

    def _of(self, label: str, scores: Scores) -> Floats:
        """(n,) the probability of one label; NaN where a score that it needs is no number."""
        chosen = [column for column, code in enumerate(scores.codes) if self.label_of.get(code) == label]
        of_any = scores.any_violation
        if len(chosen) == len(scores.codes) and of_any is not None and np.isfinite(of_any).all():
            return of_any
        return np.asarray(scores.values[:, chosen].max(axis=1))
