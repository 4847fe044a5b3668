"""How good a model is on a set of posts: scikit-learn's figures, None where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
)

from backend.evaluation.bootstrap import FIGURES, RESAMPLES, Samples, bootstrap, interval
from backend.evaluation.calibration import expected_error, reliability
from backend.evaluation.few import of_share, widened
from backend.evaluation.judged import Bools, Floats, Judged
from backend.evaluation.results import (
    ANY,
    Alone,
    Averages,
    CategoryMetrics,
    Curve,
    Interval,
    Metrics,
    Reasons,
    Reliability,
)
from backend.text import things
from training.calibration import scaled
from training.thresholds import BEST_F1, Aim

ANY_NAME = "Any violation"
# More points than pixels help nobody.
_CURVE_POINTS = 200


def measure(
    judged: Judged,
    *,
    names: Mapping[str, str],
    thresholds: Mapping[str, float],
    of: int,
    unreadable: int = 0,
    refused: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    alone: tuple[Alone, ...] = (),
    aim: Aim = BEST_F1,
    temperature: float | None = None,
    reasons: Reasons | None = None,
    invalid: float | None = None,
    resamples: int = RESAMPLES,
) -> Metrics:
    """Everything that is stored of one evaluation.

    Args:
        judged: what the model said, over the categories that could be judged.
        names: the categories' names by code.
        thresholds: those that were applied, by code; ANY where any violation has one of its own. Empty
            for a model without probabilities.
        of: posts in the set.
        unreadable: answers that could not be read, in number.
        refused: categories that could not be judged, by code, each with the reason.
        notes: sentences to keep with the figures.
        alone: what the model would decide without a person.
        aim: what the thresholds were chosen for.
        temperature: of the scores.
        reasons: figures of the model's reasons.
        invalid: the probability of invalid answers.
        resamples: of the bootstrap.
    """
    [samples] = bootstrap([judged], resamples=resamples)
    judged_categories = [
        _with_intervals(
            category_metrics(
                code,
                names[code],
                judged.gold[:, column],
                judged.named[:, column],
                None if judged.scores is None else judged.scores[:, column],
                thresholds.get(code),
                temperature,
            ),
            samples,
            column,
            judged.gold[:, column],
            judged.named[:, column],
            judged.clusters,
        )
        for column, code in enumerate(judged.codes)
    ]
    any_violation = category_metrics(
        *(ANY, ANY_NAME, judged.positive, judged.flagged, judged.any_scores),
        *(thresholds.get(ANY), temperature),
    )
    categories = _in_order(judged_categories, names, refused or {})
    # A model without categories cannot have all of them right.
    no_match = not len(judged) or (refused and not judged.codes)
    exact_match = None if no_match else float(judged.right.mean())
    everything = np.ones(len(judged), dtype=bool)
    return Metrics(
        posts=len(judged),
        of=of,
        unreadable=unreadable,
        codes=judged.codes,
        categories=categories,
        macro=_macro(judged_categories, samples),
        micro=_micro(judged, samples),
        any_violation=_with_intervals(
            any_violation, samples, -1, judged.positive, judged.flagged, judged.clusters
        ),
        exact_match=exact_match,
        exact_match_interval=of_share(interval(samples.right), exact_match, everything, judged.clusters),
        confusion=_confusion(judged),
        notes=(*notes, *_notes(categories, judged, of), *_alike(judged)),
        unread=judged.unread_posts,
        duplicates=judged.duplicates,
        alone=alone,
        thresholds_for=str(aim),
        temperature=temperature,
        reasons=reasons,
        invalid=invalid,
    )


def category_metrics(
    code: str,
    name: str,
    gold: Bools,
    named: Bools,
    scores: Floats | None,
    threshold: float | None,
    temperature: float | None = None,
) -> CategoryMetrics:
    """One category, all arrays (n,). Without a post that has it there is nothing to judge."""
    support, predicted = int(gold.sum()), int(named.sum())
    counts = CategoryMetrics(
        code, name, support, predicted, hits=int((gold & named).sum()), threshold=threshold
    )
    if not support:
        return replace(counts, note="No post of the set has it.")
    precision, recall, f1, _ = precision_recall_fscore_support(
        gold, named, average="binary", zero_division=np.nan
    )
    auprc, note = _auprc(gold, scores)
    at_temperature = None if scores is None or temperature is None else scaled(scores, temperature)
    return replace(
        counts,
        precision=float(precision) if predicted else None,
        recall=float(recall),
        f1=float(f1),
        auprc=auprc,
        note=note,
        auroc=None if scores is None or gold.all() else float(roc_auc_score(gold, scores)),
        brier=_brier(gold, scores),
        calibration_error=_error(gold, scores),
        scaled_brier=_brier(gold, at_temperature),
        scaled_calibration_error=_error(gold, at_temperature),
    )


def _brier(gold: Bools, scores: Floats | None) -> float | None:
    return None if scores is None else float(brier_score_loss(gold, scores))


def _error(gold: Bools, scores: Floats | None) -> float | None:
    return None if scores is None else expected_error(gold, scores)


def _auprc(gold: Bools, scores: Floats | None) -> tuple[float | None, str | None]:
    if scores is None:
        return None, None
    if gold.all():
        return None, "Every post of the set has it: AUPRC would be 1 for any model, and AUROC means nothing."
    note = "All scores are equal: AUPRC is the share of posts that have it." if np.ptp(scores) == 0 else None
    return float(average_precision_score(gold, scores)), note


def _with_intervals(
    category: CategoryMetrics,
    samples: Samples,
    column: int,
    gold: Bools,
    named: Bools,
    clusters: NDArray[np.int64] | None,
) -> CategoryMetrics:
    known = [name for name in FIGURES if getattr(category, name) is not None]
    intervals: dict[str, Any] = {
        f"{name}_interval": interval(getattr(samples, name)[:, column]) for name in known
    }
    return widened(replace(category, **intervals), gold, named, clusters)


def _in_order(
    judged: Sequence[CategoryMetrics], names: Mapping[str, str], refused: Mapping[str, str]
) -> tuple[CategoryMetrics, ...]:
    """All categories in the order of `names`, the refused ones without figures."""
    known = {category.code: category for category in judged}
    known |= {code: CategoryMetrics(code, names[code], 0, 0, 0, note=why) for code, why in refused.items()}
    return tuple(known[code] for code in names if code in known)


def _macro(categories: Sequence[CategoryMetrics], samples: Samples) -> Averages:
    """Means over the categories that have posts. One that was never named has no precision."""
    judged = [category for category in categories if category.support]
    figures = {name: mean([getattr(category, name) for category in judged]) for name in FIGURES}
    intervals = {
        f"{name}_interval": None
        if value is None
        else _unless_a_point(interval(samples.macro(name)), judged, f"{name}_interval")
        for name, value in figures.items()
    }
    values: dict[str, Any] = figures | intervals
    return Averages(
        **values,
        brier=mean([category.brier for category in judged]),
        calibration_error=mean([category.calibration_error for category in judged]),
    )


def _unless_a_point(
    drawn: Interval | None, categories: Sequence[CategoryMetrics], name: str
) -> Interval | None:
    """A mean's interval; where all resamples say the same, the means of its categories' own ends."""
    known = [span for category in categories if (span := getattr(category, name)) is not None]
    if drawn is None or drawn.low < drawn.high or not known:
        return drawn
    return Interval(fmean(span.low for span in known), fmean(span.high for span in known))


def _micro(judged: Judged, samples: Samples) -> Averages:
    pooled = category_metrics("", "", judged.gold.ravel(), judged.named.ravel(), None, None)
    figures = (pooled.precision, pooled.recall, pooled.f1)
    intervals = (
        None if value is None else interval(samples.micro[:, column]) for column, value in enumerate(figures)
    )
    precision, recall, f1 = intervals
    return Averages(*figures, precision_interval=precision, recall_interval=recall, f1_interval=f1)


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of what is there; None where nothing is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _confusion(judged: Judged) -> tuple[tuple[int, ...], ...]:
    if not judged.codes:
        return ()
    # Of a harmless post nothing was said rightly where nothing was read.
    told = judged if judged.unread is None else judged.take(judged.violations | ~judged.unread)
    return confusion(told.gold, told.named)


def confusion(gold: Bools, named: Bools) -> tuple[tuple[int, ...], ...]:
    """What stands (rows) by what the model said (columns); the categories, then "none".

    A post with at most one category on both sides counts once, as in any confusion table. With
    several, each category on both sides counts on the diagonal; each that was missed counts
    beside each that was named in excess; where there is none of the other, beside "none". So
    "none" means "nothing in its place".

    Args:
        gold, named: (n, k).

    Returns:
        (k + 1, k + 1) counts.
    """
    missed, extra, hits = gold & ~named, named & ~gold, gold & named
    only_missed = missed & ~extra.any(axis=1, keepdims=True)
    only_extra = extra & ~missed.any(axis=1, keepdims=True)
    size = gold.shape[1] + 1
    table = np.zeros((size, size), dtype=int)
    table[:-1, :-1] = missed.T.astype(int) @ extra.astype(int) + np.diag(hits.sum(axis=0))
    table[:-1, -1] = only_missed.sum(axis=0)
    table[-1, :-1] = only_extra.sum(axis=0)
    table[-1, -1] = int((~gold.any(axis=1) & ~named.any(axis=1)).sum())
    return tuple(tuple(int(count) for count in row) for row in table)


def curves(judged: Judged, names: Mapping[str, str]) -> tuple[Curve, ...]:
    """Precision-recall curves of every category that has one, and of any violation."""
    found = (_curve(*one) for one in _scored(judged, names))
    return tuple(curve for curve in found if curve is not None)


def reliabilities(
    judged: Judged, names: Mapping[str, str], temperature: float | None = None
) -> tuple[Reliability, ...]:
    """Of every category and of any violation, what the model's probabilities are worth.

    Args:
        temperature: where given, of the scores at it.
    """
    found = (
        reliability(code, name, gold, scores if temperature is None else scaled(scores, temperature))
        for code, name, gold, scores in _scored(judged, names)
    )
    return tuple(one for one in found if one is not None)


def _scored(judged: Judged, names: Mapping[str, str]) -> Iterator[tuple[str, str, Bools, Floats]]:
    """Each category and any violation, what is right and what was said, where there are probabilities."""
    if judged.scores is not None:
        for column, code in enumerate(judged.codes):
            yield code, names[code], judged.gold[:, column], judged.scores[:, column]
    if judged.any_scores is not None:
        yield ANY, ANY_NAME, judged.positive, judged.any_scores


def _curve(code: str, name: str, gold: Bools, scores: Floats) -> Curve | None:
    if gold.all() or not gold.any():
        return None
    precision, recall, thresholds = precision_recall_curve(gold, scores, drop_intermediate=True)
    # The last point stands for naming nothing: no post, no threshold.
    recall, precision = recall[:-1][::-1], precision[:-1][::-1]
    kept = np.unique(np.linspace(0, len(recall) - 1, min(len(recall), _CURVE_POINTS)).round().astype(int))

    def thin(values: NDArray[np.float64]) -> tuple[float, ...]:
        return tuple(float(value) for value in values[kept])

    return Curve(code, name, thin(recall), thin(precision), thin(thresholds[::-1]))


def _alike(judged: Judged) -> Iterator[str]:
    if judged.duplicates:
        alike, groups = sum(map(len, judged.duplicates)), things(len(judged.duplicates), "group")
        yield f"{alike:,} posts nearly repeat one another, in {groups}; the intervals draw a group as one."


def _notes(categories: Sequence[CategoryMetrics], judged: Judged, of: int) -> tuple[str, ...]:
    notes, posts = [], len(judged)
    if posts < of:
        notes.append(f"Judged on {posts:,} of {of:,} posts; {of - posts:,} are left out.")
    if unread := len(judged.unread_posts):
        count = "counts" if unread == 1 else "count"
        notes.append(f"{things(unread, 'answer')} could not be read and {count} as wrong.")
    if posts:
        absent = [category.name for category in categories if category.f1 is None]
        if absent and len(absent) == len(categories):
            notes.append("No category could be judged, so there are no macro averages.")
        elif absent:
            notes.append(f"Not in the macro averages, because they could not be judged: {', '.join(absent)}.")
    return tuple(notes)
