"""alt-profanity-check, which people install today: offensive or not, taught on other people's posts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from backend.evaluation.judged import Floats


def is_installed() -> bool:
    """Whether the optional package is there (`pip install "overrule[profanity]"`)."""
    return find_spec("profanity_check") is not None


def score(texts: Sequence[str]) -> Floats:
    """The probability that a text is offensive, (n, 1); it knows no categories."""
    from profanity_check import predict_prob

    return np.asarray(predict_prob(list(texts)), dtype=float)[:, None] if texts else np.zeros((0, 1))
