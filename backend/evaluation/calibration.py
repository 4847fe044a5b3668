"""How far probabilities can be taken at their word."""

from __future__ import annotations

import numpy as np

from backend.evaluation.judged import Bools, Floats
from backend.evaluation.results import Reliability

BINS = 10


def reliability(code: str, name: str, gold: Bools, scores: Floats, bins: int = BINS) -> Reliability | None:
    """How often posts have a category, of those that are given it with about the same probability.

    Args:
        code, name: of the category.
        gold: (n,) whether a post has it.
        scores: (n,) probabilities.
        bins: of equal width between 0 and 1; one without posts is left out.

    Returns:
        None where there is no post.
    """
    if not len(gold):
        return None
    place = np.minimum((scores * bins).astype(int), bins - 1)
    posts = np.bincount(place, minlength=bins)
    filled = posts > 0
    said, having = (np.bincount(place, weights=values, minlength=bins)[filled] for values in (scores, gold))
    posts = posts[filled]
    return Reliability(
        code, name, tuple((said / posts).tolist()), tuple((having / posts).tolist()), tuple(posts.tolist())
    )


def expected_error(gold: Bools, scores: Floats, bins: int = BINS) -> float | None:
    """The expected calibration error (Naeini et al. 2015): the mean distance of what is said from what is so.

    Over bins of equal width, each weighted by its posts. 0 is perfect; None without posts.
    """
    found = reliability("", "", gold, scores, bins)
    if found is None:
        return None
    distances = np.abs(np.subtract(found.said, found.having))
    return float(np.average(distances, weights=found.posts))
