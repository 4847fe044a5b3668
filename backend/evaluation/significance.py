"""Whether two models differ by more than chance, and what several such questions at once cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from backend.evaluation.judged import Floats


def mcnemar(only_a_right: int, only_b_right: int) -> float:
    """The exact McNemar test (McNemar 1947): the chance of so uneven a split, were the two models as good.

    Posts that both have right, or both wrong, tell nothing; each other post is a coin's toss.

    Args:
        only_a_right, only_b_right: posts that only one of the two has right.

    Returns:
        The two-sided p-value; 1 where the two never differ.
    """
    tosses = only_a_right + only_b_right
    return float(binomtest(only_a_right, tosses).pvalue) if tosses else 1.0


def bootstrap_p(samples: Floats) -> float | None:
    """The two-sided p-value of a difference being none, from its bootstrap samples.

    Twice the share of samples on the rarer side of zero, one added to both counts so that it is
    never 0 (Davison and Hinkley 1997, section 4.2). Below 0.05 just where the 95% percentile
    interval leaves out zero, up to rounding.

    Args:
        samples: (resamples,) the difference in each; NaN where it is not known.

    Returns:
        None where nothing is known.
    """
    known = samples[np.isfinite(samples)]
    if not known.size:
        return None
    rarer = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return min(1.0, 2 * (rarer + 1) / (known.size + 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values of several questions, raised for having asked them all at once (Holm 1979).

    To call those below 0.05 different errs on any of them at most once in twenty times.

    Args:
        p_values: one for each question; None for one that could not be asked, which costs nothing.

    Returns:
        In the same order; None stays None.
    """
    asked = sorted((value, place) for place, value in enumerate(p_values) if value is not None)
    raised: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (value, place) in enumerate(asked):
        highest = max(highest, min(1.0, (len(asked) - rank) * value))
        raised[place] = highest
    return raised
