"""From which probability on a category counts as named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

DEFAULT = 0.5

Floats = NDArray[np.float64]
_AIM = re.compile(r"(precision|recall)\s*=\s*(\d*\.?\d+)")


@dataclass(frozen=True, slots=True)
class Aim:
    """What thresholds are chosen for.

    The best F1; or at a wanted precision the most recall; or at a wanted recall the most precision.
    """

    figure: Literal["f1", "precision", "recall"] = "f1"
    wanted: float = 0.0

    @classmethod
    def read(cls, text: str) -> Aim:
        """Read "f1", "precision=0.9" or "recall=0.8".

        Raises:
            ValueError: it is none of these.
        """
        said = text.strip().lower()
        if said == "f1":
            return cls()
        found = _AIM.fullmatch(said)
        if found is None or not 0 < float(found[2]) <= 1:
            raise ValueError("thresholds are chosen for f1, for precision=0.9 or for recall=0.9")
        return cls("precision" if found[1] == "precision" else "recall", float(found[2]))

    @property
    def in_words(self) -> str:
        """What it asks for, inside a sentence."""
        if self.figure == "f1":
            return "the best F1"
        other = "recall" if self.figure == "precision" else "precision"
        return f"the most {other} at a {self.figure} of {self.wanted:g}"

    def __str__(self) -> str:
        return self.figure if self.figure == "f1" else f"{self.figure}={self.wanted:g}"


BEST_F1 = Aim()


def choose_thresholds(
    labels: NDArray[np.bool_], scores: NDArray[Any], aim: Aim = BEST_F1
) -> NDArray[np.float64]:
    """The threshold of each category that serves an aim best; a score at or above it counts.

    Between two neighbouring scores every threshold decides alike: 0.5 is taken where it lies
    there, else the middle. A category without a positive post gets 0.5. Where a wanted precision
    or recall cannot be had, the threshold that comes nearest to it.

    Args:
        labels: (N, C) whether a post has a category.
        scores: (N, C) probabilities in [0, 1].
        aim: what they are for.

    Returns:
        (C,) thresholds in (0, 1].

    Raises:
        ValueError: the shapes differ, or a score is no probability.
    """
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=float)
    if labels.shape != scores.shape or labels.ndim != 2:
        raise ValueError(f"labels {labels.shape} and scores {scores.shape} must have one shape (N, C)")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("scores must be probabilities between 0 and 1")
    return np.array([_best(labels[:, column], scores[:, column], aim) for column in range(labels.shape[1])])


def _best(labels: NDArray[np.bool_], scores: Floats, aim: Aim) -> float:
    if not labels.any():
        return DEFAULT
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    # The curve's last point stands for naming nothing and has no threshold; a threshold of zero
    # would name the category everywhere.
    above = thresholds > 0
    if not above.any():
        return DEFAULT
    precision, recall, thresholds = precision[:-1][above], recall[:-1][above], thresholds[above]
    value = _value(precision, recall, aim)
    # Of several as good, the highest: it names a category less often.
    best = len(value) - 1 - int(np.argmax(value[::-1]))
    upper = float(thresholds[best])
    lower = max((float(score) for score in scores if score < upper), default=0.0)
    if lower < DEFAULT <= upper:
        return DEFAULT
    middle = (lower + upper) / 2
    # Neighbouring floats have nothing between them.
    return middle if middle > lower else upper


def _value(precision: Floats, recall: Floats, aim: Aim) -> Floats:
    """How well each point of the curve serves an aim; higher is better."""
    if aim.figure == "f1":
        both = precision + recall
        return np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    bound, other = (precision, recall) if aim.figure == "precision" else (recall, precision)
    # Any point that has what is wanted is better than any that has not.
    return np.where(bound >= aim.wanted, 1 + other, bound - 1)
