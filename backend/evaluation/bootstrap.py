"""How sure a figure is: bootstrap over posts, for one model or for two on the same posts.

Near-duplicates are drawn together: ten copies of a post tell hardly more than one, and drawn apart
they would make a figure look surer than it is.
A resample is kept as weights, how often it drew each post, so that a figure of all resamples is
a few matrix operations. Figures of a resample in which a category has no post are NaN and do not
count. Intervals are percentile intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.evaluation.judged import Bools, Floats, Judged
from backend.evaluation.results import Interval

RESAMPLES = 2_000
SEED = 20_240_301
# Weights held at once: resamples × posts, 4 bytes each.
_CHUNK = 2_000_000

FIGURES = ("precision", "recall", "f1", "auprc", "auroc")
"""What `Samples` has of each category."""

Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Figures of each resample, each (resamples, k + 1): the categories, and last any violation.

    AUPRC and AUROC are NaN throughout for a model without probabilities.

    Attributes:
        micro: (resamples, 3) precision, recall and F1 of the categories' pooled counts.
        right: (resamples,) the share of posts that are all right.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    auprc: Floats
    auroc: Floats
    micro: Floats
    right: Floats

    @property
    def macro_f1(self) -> Floats:
        """(resamples,) the mean over the categories that have posts in a resample."""
        return self.macro("f1")

    @property
    def macro_auprc(self) -> Floats:
        """(resamples,) the mean over the categories that have posts in a resample."""
        return self.macro("auprc")

    def macro(self, figure: str) -> Floats:
        """(resamples,) the mean of one of FIGURES over the categories that have it in a resample."""
        of_each: Floats = getattr(self, figure)
        return mean_of_known(of_each[:, :-1])


def bootstrap(models: Sequence[Judged], *, resamples: int = RESAMPLES, seed: int = SEED) -> list[Samples]:
    """The figures of every model over the very same resamples of the posts.

    Args:
        models: judged on the same posts in the same order, over the same categories, with the
            same near-duplicates.

    Returns:
        Samples of each model; the difference of two is a paired bootstrap.
    """
    parts = [
        [_sample(weights, model) for model in models]
        for weights in _weights(models[0].clusters, len(models[0]), resamples, seed)
    ]
    return [_join([part[index] for part in parts]) for index in range(len(models))]


def resampled_ratios(
    above: Bools,
    below: Bools,
    clusters: NDArray[np.int64] | None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Floats:
    """How many posts of one kind there are for each of another, over the resamples of `bootstrap`.

    Args:
        above, below: (n, k) which posts are of each kind.
        clusters: (n,) posts with the same number are near-duplicates; None where none are.

    Returns:
        (resamples, k); NaN where no post of a resample is of the other kind.
    """
    first, second = above.astype(np.float32), below.astype(np.float32)
    return np.concatenate(
        [
            _ratio((weights.T @ first).astype(float), (weights.T @ second).astype(float))
            for weights in _weights(clusters, len(above), resamples, seed)
        ]
    )


def exactly(model: Judged) -> Samples:
    """The figures on the posts as they are, as one resample that drew each post once."""
    return _sample(np.ones((len(model), 1), dtype=np.float32), model)


def interval(samples: Floats, level: float = 0.95) -> Interval | None:
    """The percentile interval of what is known; None where nothing is."""
    known = samples[np.isfinite(samples)]
    if not known.size:
        return None
    tail = (1 - level) / 2 * 100
    low, high = np.percentile(known, [tail, 100 - tail])
    return Interval(float(low), float(high))


def mean_of_known(values: Floats) -> Floats:
    """(resamples, k) to (resamples,): the mean of what is no NaN; NaN where all is."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1))


def _weights(clusters: NDArray[np.int64] | None, posts: int, resamples: int, seed: int) -> Iterator[Weights]:
    """(n, b) how often each of b resamples drew each post, until `resamples` are drawn."""
    random = np.random.default_rng(seed)
    if not posts:
        yield np.zeros((0, resamples), dtype=np.float32)
        return
    cluster = np.arange(posts) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    count = int(cluster.max()) + 1
    most = max(1, _CHUNK // posts)
    for start in range(0, resamples, most):
        size = min(most, resamples - start)
        drawn = random.integers(0, count, size=(size, count))
        drawn *= size
        drawn += np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=count * size)
        yield counts.reshape(count, size).astype(np.float32)[cluster]


def _sample(weights: Weights, model: Judged) -> Samples:
    gold = np.column_stack([model.gold, model.positive])
    precision, recall, f1 = weighted_counts(
        weights, gold, np.column_stack([model.named, model.flagged]).astype(bool)
    )
    auprc = auroc = np.full(f1.shape, np.nan)
    if model.scores is not None and model.any_scores is not None:
        scores = np.column_stack([model.scores, model.any_scores])
        auprc, auroc = weighted_auprc(weights, gold, scores), weighted_auroc(weights, gold, scores)
    return Samples(
        *(precision, recall, f1, auprc, auroc),
        micro=_pooled(weights, model.gold, model.named),
        right=_ratio(weights[model.right].sum(axis=0, dtype=float), weights.sum(axis=0, dtype=float)),
    )


def _pooled(weights: Weights, gold: Bools, named: Bools) -> Floats:
    """(b, 3): precision, recall and F1 of all categories' counts together."""
    # How many there are in each post, (n, 3): hits, what stands, what is named.
    counts = np.column_stack([matrix.sum(axis=1) for matrix in (gold & named, gold, named)])
    hits, support, predicted = (weights.T @ counts.astype(np.float32)).astype(float).T
    there = support > 0
    precision, f1 = _ratio(hits, predicted), _ratio(2 * hits, support + predicted)
    return np.column_stack(
        [np.where(there, precision, np.nan), _ratio(hits, support), np.where(there, f1, np.nan)]
    )


def _join(parts: Sequence[Samples]) -> Samples:
    names = (field.name for field in fields(Samples))
    return Samples(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def weighted_counts(weights: Weights, gold: Bools, named: Bools) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of k categories in b resamples.

    Args:
        weights: (n, b).
        gold, named: (n, k).

    Returns:
        (b, k) each; NaN where no post of a resample has the category, precision also where none
        was given it.
    """
    hits, support, predicted = (
        (weights.T @ matrix.astype(np.float32)).astype(float) for matrix in (gold & named, gold, named)
    )
    there = support > 0
    return (
        np.where(there, _ratio(hits, predicted), np.nan),
        _ratio(hits, support),
        np.where(there, _ratio(2 * hits, support + predicted), np.nan),
    )


def weighted_auprc(weights: Weights, gold: Bools, scores: Floats) -> Floats:
    """Average precision of k categories in b resamples, as scikit-learn's with these weights.

    Args:
        weights: (n, b).
        gold, scores: (n, k).

    Returns:
        (b, k); NaN where no post of a resample has the category.
    """
    columns = [_auprc(weights, gold[:, column], scores[:, column]) for column in range(gold.shape[1])]
    return np.stack(columns, axis=1) if columns else np.empty((weights.shape[1], 0))


def _auprc(weights: Weights, gold: Bools, scores: Floats) -> Floats:
    """(b,): the sum over scores of the recall gained there, times the precision from there up."""
    if not gold.any():
        return np.full(weights.shape[1], np.nan)
    order = np.argsort(-scores, kind="stable")
    ranked, positives = scores[order], np.flatnonzero(gold[order])
    # Posts with one score are named together: precision is taken at the last of each group.
    # Groups without a positive gain no recall, so they are summed with the next that has one.
    last = ranked[1:] != ranked[:-1]
    group = np.concatenate([[0], np.cumsum(last)])
    ends = np.append(np.flatnonzero(last), len(ranked) - 1)[np.unique(group[positives])] + 1
    drawn = _sums(weights, order, ends)
    gained = _sums(weights, order[positives], np.searchsorted(positives, ends))
    # Sums of draws are whole numbers, which single precision holds exactly up to 2^24.
    hits = np.cumsum(gained, axis=0)
    precision = hits / np.maximum(np.cumsum(drawn, axis=0), 1)
    return _ratio((gained * precision).sum(axis=0, dtype=float), gained.sum(axis=0, dtype=float))


def weighted_auroc(weights: Weights, gold: Bools, scores: Floats) -> Floats:
    """The area under the ROC curve of k categories in b resamples, as scikit-learn's with these weights.

    Args:
        weights: (n, b).
        gold, scores: (n, k).

    Returns:
        (b, k); NaN where all posts of a resample have the category, or none.
    """
    columns = [_auroc(weights, gold[:, column], scores[:, column]) for column in range(gold.shape[1])]
    return np.stack(columns, axis=1) if columns else np.empty((weights.shape[1], 0))


def _auroc(weights: Weights, gold: Bools, scores: Floats) -> Floats:
    """(b,): how often a post that has the category ranks above one that has not; a tie counts half."""
    if not gold.any() or gold.all():
        return np.full(weights.shape[1], np.nan)
    order = np.argsort(-scores, kind="stable")
    ranked, has = scores[order], gold[order]
    positives, negatives = np.flatnonzero(has), np.flatnonzero(~has)
    # Groups of one score that have a positive: where each begins and ends among all posts.
    found = np.unique(-ranked[positives])
    begins, ends = np.searchsorted(-ranked, found, "left"), np.searchsorted(-ranked, found, "right")
    gained = _sums(weights, order[positives], np.searchsorted(positives, ends))
    between = np.searchsorted(negatives, np.column_stack([begins, ends]).ravel())
    passed = _sums(weights, order[negatives], between)
    above, alike = np.cumsum(passed, axis=0)[0::2], passed[1::2]
    without = weights[order[negatives]].sum(axis=0)
    won = (gained * (without - above - alike / 2)).sum(axis=0, dtype=float)
    return _ratio(won, gained.sum(axis=0, dtype=float) * without)


def _sums(weights: Weights, posts: NDArray[np.intp], ends: NDArray[np.intp]) -> Weights:
    """(segments, b): the weights of `posts` summed from one end to the next."""
    starts = np.concatenate([[0], ends])
    chosen = posts[: starts[-1]]
    ones = np.ones(len(chosen), dtype=np.float32)
    segments = csr_array((ones, chosen, starts), shape=(len(ends), len(weights)))
    return np.asarray(segments @ weights)


def _ratio(above: NDArray[np.generic], below: NDArray[np.generic]) -> Floats:
    """The quotient; NaN where below is 0."""
    result = np.full(np.shape(below), np.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result
