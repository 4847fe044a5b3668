"""From which probability on a category counts as named."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

DEFAULT = 0.5


def best_f1_thresholds(labels: NDArray[np.bool_], scores: NDArray[Any]) -> NDArray[np.float64]:
    """The threshold of each category that gives the best F1; a score at or above it counts.

    Between two neighbouring scores every threshold decides alike: 0.5 is taken where it lies
    there, else the middle. A category without a positive post gets 0.5.

    Args:
        labels: (N, C) whether a post has a category.
        scores: (N, C) probabilities in [0, 1].

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
    return np.array([_best(labels[:, column], scores[:, column]) for column in range(labels.shape[1])])


def _best(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    if not labels.any():
        return DEFAULT
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    # The curve's last point stands for naming nothing and has no threshold; a threshold of zero
    # would name the category everywhere.
    above = thresholds > 0
    if not above.any():
        return DEFAULT
    precision, recall, thresholds = precision[:-1][above], recall[:-1][above], thresholds[above]
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    # Of several as good, the highest: it names a category less often.
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    upper = float(thresholds[best])
    lower = max((float(score) for score in scores if score < upper), default=0.0)
    if lower < DEFAULT <= upper:
        return DEFAULT
    middle = (lower + upper) / 2
    # Neighbouring floats have nothing between them.
    return middle if middle > lower else upper
