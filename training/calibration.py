"""Probabilities that mean what they say: one temperature for all of a model's scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

Floats = NDArray[np.float64]

# Of a probability of 0 or 1 there is no logit.
_LEAST = 1e-7
_BOUNDS = (np.log(0.05), np.log(20.0))


def scaled(scores: NDArray[Any], temperature: float) -> Floats:
    """Probabilities with their logits divided by a temperature: above 1 they are less sure.

    Their order stays, and with it AUPRC, AUROC and what thresholds decide.
    """
    return np.asarray(expit(_logits(scores) / temperature))


def fit_temperature(labels: NDArray[np.bool_], scores: NDArray[Any]) -> float | None:
    """The temperature at which the labels are likeliest (Guo et al. 2017, temperature scaling).

    Fitted on the categories' own yes or no, all of them together, between 0.05 and 20.

    Args:
        labels: (N, C) whether a post has a category.
        scores: (N, C) probabilities.

    Returns:
        None where all labels are alike, so that the surest scores would be the likeliest.
    """
    truth = np.asarray(labels, dtype=bool)
    if truth.all() or not truth.any():
        return None
    logits = _logits(scores)

    def surprise(log_temperature: float) -> float:
        margins = np.where(truth, logits, -logits) / np.exp(log_temperature)
        return float(np.logaddexp(0.0, -margins).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=_BOUNDS, method="bounded").x))


def _logits(scores: NDArray[Any]) -> Floats:
    return np.asarray(logit(np.clip(np.asarray(scores, dtype=float), _LEAST, 1 - _LEAST)))
