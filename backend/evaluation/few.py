"""Intervals that hold where few posts tell something, from formulas instead of resamples.

A model that finds all of six posts misses none in any resample either: the bootstrap's interval would
be the point 1. Formulas know better. The share of posts is theirs, so recall and precision have
Wilson's interval (1927). F1 is a function of the share of hits among all posts that have the category or
are given it, J (Jaccard): F1 = 2J / (1 + J), so it has Wilson's of J. Average precision is taken for a
share of the posts that have the category (Boyd, Eng and Page 2013), and AUROC has the score interval
from Hanley and McNeil's variance (Newcombe 2006, method 5).

Near-duplicates tell hardly more than one post. Everywhere as many posts count as would be worth the
same if none repeated another: their number squared, over the sum of the squared sizes of their
clusters (Kish 1965).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from backend.evaluation.judged import Bools
from backend.evaluation.results import CategoryMetrics, Interval
from backend.text import things

Clusters = NDArray[np.int64]

_FEW = 100
"""From so many posts on that have a category, and that have it not, resamples tell a ranking's spread."""

_TOO_FEW = 50
"""Below so many posts a share of half of them is known to no better than 14 points either way."""

_BESIDE = 1e-9


def wilson(share: float, posts: float, level: float = 0.95) -> Interval:
    """Wilson's interval of a share; `posts` need not be whole, unlike SciPy's counts."""
    z = float(norm.ppf((1 + level) / 2))
    middle = share + z**2 / (2 * posts)
    half = z * sqrt(share * (1 - share) / posts + z**2 / (4 * posts**2))
    scale = 1 + z**2 / posts
    return Interval(max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale))


def few_posts(posts: int) -> str | None:
    """What is to be known of a set of so few posts; None where there are enough to compare models by."""
    if not 0 < posts < _TOO_FEW:
        return None
    span = wilson(0.5, posts)
    return (
        f"Only {things(posts, 'post')}: what is 50% of them may be anything from {span.low:.0%} to "
        f"{span.high:.0%} of others. Differences between models will hardly show."
    )


def f1_interval(f1: float, posts: float, level: float = 0.95) -> Interval:
    """Of an F1 over so many posts that have the category or are given it."""
    of_hits = wilson(f1 / (2 - f1), posts, level)
    return Interval(*(2 * share / (1 + share) for share in (of_hits.low, of_hits.high)))


def auroc_interval(auroc: float, having: float, others: float, level: float = 0.95) -> Interval:
    """Of an area under the ROC curve; the numbers of posts need not be whole.

    Its ends are the areas from which this one is as far as the level allows, by their own spread.

    Args:
        auroc: the area.
        having: posts that have the category, at least 1.
        others: posts that have it not, at least 1.
        level: how often the interval is to hold the truth.
    """
    z = float(norm.ppf((1 + level) / 2))
    more = max((having + others) / 2 - 1, 0.0)

    def spread(area: float) -> float:
        pairs = 1 + more * (1 - area) / (2 - area) + more * area / (1 + area)
        return z * sqrt(area * (1 - area) * pairs / (having * others))

    def end(limit: float) -> float:
        if auroc == limit:
            return auroc
        # An area of 0 or 1 has no spread, so that one is looked for beside it.
        beside = auroc + _BESIDE * (limit - auroc)
        return float(brentq(lambda area: abs(area - auroc) - spread(area), beside, limit))

    return Interval(end(0.0), end(1.0))


def effective_posts(chosen: Bools, clusters: Clusters | None = None) -> float:
    """How many posts without near-duplicates the chosen ones, (n,), are worth."""
    of = int(chosen.sum())
    if clusters is None or not of:
        return float(of)
    sizes = np.unique(clusters[chosen], return_counts=True)[1]
    return of**2 / float((sizes**2).sum())


def of_share(
    drawn: Interval | None, share: float | None, among: Bools, clusters: Clusters | None
) -> Interval | None:
    """The interval of a share of some posts by bootstrap, stretched likewise; None where there is none.

    Args:
        drawn: by bootstrap.
        share: of the posts `among`, (n,).
        among: the posts that it is a share of.
        clusters: (n,) posts with the same number are near-duplicates; None where none are.
    """
    if drawn is None or share is None:
        return None
    return _stretched(drawn, wilson(share, effective_posts(among, clusters)))


def widened(
    category: CategoryMetrics, gold: Bools, named: Bools, clusters: Clusters | None
) -> CategoryMetrics:
    """A category's intervals, each stretched to what few posts can tell where it says more.

    Those of AUPRC and AUROC only below 100 posts, or where all resamples say the same: beyond, the
    formulas are wider than the truth.

    Args:
        category: its figures, with their intervals by bootstrap.
        gold: (n,) the posts that have it.
        named: (n,) those that were given it.
        clusters: (n,) posts with the same number are near-duplicates; None where none are.
    """
    having, others = effective_posts(gold, clusters), effective_posts(~gold, clusters)
    of_few: dict[str, Callable[[float], Interval]] = {
        "precision": lambda share: wilson(share, effective_posts(named, clusters)),
        "recall": lambda share: wilson(share, having),
        "f1": lambda f1: f1_interval(f1, effective_posts(gold | named, clusters)),
        "auprc": lambda area: wilson(area, having),
        "auroc": lambda area: auroc_interval(area, having, others),
    }
    ranked = ("auprc", "auroc") if min(having, others) >= _FEW else ()
    found: dict[str, Any] = {}
    for figure, formula in of_few.items():
        value, drawn = getattr(category, figure), getattr(category, f"{figure}_interval")
        if value is None or drawn is None or (figure in ranked and drawn.low < drawn.high):
            continue
        found[f"{figure}_interval"] = _stretched(drawn, formula(value))
    return replace(category, **found)


def _stretched(one: Interval, other: Interval) -> Interval:
    return Interval(min(one.low, other.low), max(one.high, other.high))
