"""Intervals of differences between settings against a known truth."""

import numpy as np
import pytest

from backend.evaluation.bootstrap import bootstrap
from backend.evaluation.judged import Bools, Judged
from backend.study.intervals import Figure, average, over_seeds


def simulated(random: np.random.Generator, *, posts: float, together: float, seeds: float) -> list[Figure]:
    """Three seeds' differences with truth 0, and a bootstrap over posts that is exact."""
    by_post, draws = random.normal(0, posts), random.normal(0, posts, size=400)
    found = []
    for _ in range(3):
        value = by_post + random.normal(0, together) + random.normal(0, seeds)
        found.append(Figure(value, value + draws + random.normal(0, together, size=400)))
    return found


@pytest.mark.parametrize(
    ("posts", "together", "seeds"), [(1, 0, 0), (1, 1, 0), (1, 0.5, 1), (1, 0, 2), (0.3, 0, 2)]
)
def test_the_truth_lies_within_as_often_as_it_should(posts: float, together: float, seeds: float) -> None:
    random, hits, rounds = np.random.default_rng(7), 0, 1_500
    significant = 0
    for _ in range(rounds):
        found = over_seeds(simulated(random, posts=posts, together=together, seeds=seeds))
        assert found.low is not None and found.high is not None and found.p is not None
        hits += found.low <= 0 <= found.high
        significant += found.p < 0.05
    # What posts and seeds do only together counts twice, which makes intervals too wide, not too narrow.
    assert 0.915 <= hits / rounds <= 0.985
    assert significant == rounds - hits


def test_f1_of_real_students_with_three_seeds() -> None:
    def said(gold: Bools, hard: np.ndarray, ability: float) -> Bools:
        ability += random.normal(0, 0.1)
        return np.asarray((2 * gold - 1) * ability + hard + random.normal(0, 0.7, size=gold.shape) > 0)

    def f1(gold: Bools, named: Bools) -> float:
        hits = (gold & named).sum(axis=0)
        return float(np.mean(2 * hits / (gold.sum(axis=0) + named.sum(axis=0))))

    def posts(count: int) -> tuple[Bools, np.ndarray]:
        return random.random((count, 2)) < 0.3, random.normal(0, 0.7, size=(count, 2))

    random = np.random.default_rng(3)
    truths = []
    for _ in range(400):
        gold, hard = posts(4_000)
        truths.append(f1(gold, said(gold, hard, 1.0)) - f1(gold, said(gold, hard, 0.8)))
    truth, rounds = float(np.mean(truths)), 150
    hits = of_posts_only = 0
    for number in range(rounds):
        gold, hard = posts(200)
        models = [said(gold, hard, ability) for ability in (1.0,) * 3 + (0.8,) * 3]
        judged = [
            Judged(np.arange(200), ("a", "b"), gold, named, gold.any(axis=1), named.any(axis=1))
            for named in models
        ]
        samples = bootstrap(judged, resamples=200, seed=number)
        figures = [
            Figure(f1(gold, named), each.macro_f1) for named, each in zip(models, samples, strict=True)
        ]
        by_seed = [a - b for a, b in zip(figures[:3], figures[3:], strict=True)]
        found = over_seeds(by_seed)
        assert found.low is not None and found.high is not None
        hits += found.low <= truth <= found.high
        low, high = np.percentile(average(by_seed).samples, [2.5, 97.5])
        of_posts_only += bool(low <= truth <= high)
    assert hits / rounds >= 0.92
    assert of_posts_only / rounds < 0.85, "seeds matter in this simulation"


def test_a_difference_is_taken_seed_by_seed_and_post_by_post() -> None:
    random = np.random.default_rng(1)
    shared = random.normal(0, 0.1, size=500)
    a = [Figure(0.6 + each, 0.6 + each + shared) for each in (-0.1, 0.0, 0.1)]
    b = [Figure(0.5 + each, 0.5 + each + shared) for each in (-0.1, 0.0, 0.1)]
    paired = over_seeds([one - other for one, other in zip(a, b, strict=True)])
    assert (paired.value, paired.low, paired.high) == pytest.approx((0.1, 0.1, 0.1), abs=1e-6)
    alone = over_seeds(a)
    assert alone.low is not None
    assert alone.low < 0.4


def test_one_seed_is_of_posts_only_and_nothing_known_is_no_interval() -> None:
    samples = np.random.default_rng(2).normal(0.5, 0.1, size=2_000)
    one = over_seeds([Figure(0.5, samples)])
    assert (one.low, one.high) == pytest.approx((0.5 - 0.196, 0.5 + 0.196), abs=0.01)
    assert one.seeds == 1
    nothing = over_seeds([Figure(0.5, np.full(10, np.nan))] * 2)
    assert (nothing.low, nothing.high, nothing.clear) == (None, None, False)
