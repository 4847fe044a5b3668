"""Intervals of few posts: against published and hand-worked values, and against a known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.evaluation.few import auroc_interval, effective_posts, f1_interval, few_posts, wilson
from backend.evaluation.metrics import measure
from tests.backend.evaluation.build import random_judged, true_figures

NAMES = {"c0": "Spam"}
FIGURES = ("precision", "recall", "f1", "auprc", "auroc")


def test_f1_has_the_interval_of_the_share_of_hits() -> None:
    # 6 hits, 2 missed, 4 false: F1 = 12 / 18, the share of hits 6 / 12.
    hits = wilson(0.5, 12)
    found = f1_interval(2 / 3, 12)
    assert found.low == pytest.approx(2 * hits.low / (1 + hits.low))
    assert found.high == pytest.approx(2 * hits.high / (1 + hits.high))


@pytest.mark.parametrize("auroc", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_an_ends_own_spread_reaches_the_area(auroc: float) -> None:
    """The ends solve Newcombe's equation; the variance is written out here anew."""
    having, others, z = 6, 40, 1.959964
    found = auroc_interval(auroc, having, others)
    for end in (found.low, found.high):
        more = (having + others) / 2 - 1
        variance = (
            end * (1 - end) * (1 + more * (1 - end) / (2 - end) + more * end / (1 + end)) / (having * others)
        )
        if end != auroc:
            assert abs(end - auroc) == pytest.approx(z * variance**0.5, rel=1e-4)
    assert found.low <= auroc <= found.high
    assert found.high - found.low > 0.1


def test_an_area_turned_round_has_its_interval_turned_round() -> None:
    one, other = auroc_interval(0.8, 10, 30), auroc_interval(0.2, 10, 30)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))


def test_near_duplicates_are_worth_hardly_more_than_one() -> None:
    chosen = np.array([True, True, True, True, False])
    assert effective_posts(chosen) == 4
    assert effective_posts(chosen, np.array([0, 0, 1, 1, 1])) == 2
    assert effective_posts(np.zeros(3, dtype=bool), np.arange(3)) == 0


def test_a_perfect_model_of_six_posts_is_not_sure() -> None:
    judged = random_judged(posts=300, codes=1, seed=3, noise=0.01, shares=(0.02,))
    [spam] = measure(judged, names=NAMES, thresholds={"c0": 0.5}, of=300).categories
    assert spam.support < 10
    for figure in FIGURES:
        low, high = (getattr(getattr(spam, f"{figure}_interval"), end) for end in ("low", "high"))
        assert getattr(spam, figure) == high == 1
        assert 0.5 < low < 0.9, figure


def test_copies_do_not_make_few_posts_surer() -> None:
    judged = random_judged(posts=100, codes=1, seed=3, noise=0.01, shares=(0.05,))
    copies = np.repeat(np.arange(100), 4)
    repeated = replace(judged.take(copies), clusters=copies)
    first, again = (
        measure(posts, names=NAMES, thresholds={"c0": 0.5}, of=len(posts)).categories[0]
        for posts in (judged, repeated)
    )
    for figure in FIGURES:
        one, other = (getattr(category, f"{figure}_interval") for category in (first, again))
        assert other.low == pytest.approx(one.low, abs=0.02), figure


@pytest.mark.parametrize("share", [0.25, 0.05, 0.02])
def test_intervals_cover_the_truth_about_as_often_as_they_say(share: float) -> None:
    """What docs/evaluation.md says of about 75, 15 and 6 of 300 posts that have a category."""
    true = true_figures(random_judged(posts=200_000, codes=1, seed=9, shares=(share,)))
    covered = dict.fromkeys(true, 0)
    rounds = 100
    for seed in range(rounds):
        judged = random_judged(posts=300, codes=1, seed=seed, shares=(share,))
        [found] = measure(judged, names=NAMES, thresholds={"c0": 0.5}, of=300, resamples=200).categories
        for figure, value in true.items():
            interval = getattr(found, f"{figure}_interval")
            covered[figure] += interval is not None and interval.low <= value <= interval.high
    for figure, times in covered.items():
        assert times / rounds >= 0.89, figure


def test_a_mean_of_perfect_figures_is_not_sure_either() -> None:
    judged = random_judged(posts=40, codes=2, seed=3, noise=0.01, shares=(0.2,))
    found = measure(judged, names={"c0": "Spam", "c1": "Hate"}, thresholds={"c0": 0.5, "c1": 0.5}, of=40)
    assert found.macro.f1 == 1
    assert found.macro.f1_interval is not None
    lows = [category.f1_interval.low for category in found.categories if category.f1_interval]
    assert found.macro.f1_interval.low == pytest.approx(sum(lows) / 2)
    assert found.macro.f1_interval.high == 1


def test_a_set_of_few_posts_says_how_little_it_tells() -> None:
    assert few_posts(3) == (
        "Only 3 posts: what is 50% of them may be anything from 13% to 87% of others. Differences between "
        "models will hardly show."
    )
    assert few_posts(49) is not None
    assert few_posts(50) is None and few_posts(0) is None
