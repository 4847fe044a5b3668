"""What could be decided without a person, by hand and against a known truth."""

import numpy as np
import pytest

from backend.evaluation.alone import Band, choose_band, measure_band, measure_bands
from backend.evaluation.few import wilson
from backend.evaluation.results import Interval


def test_a_band_by_hand() -> None:
    scores = np.array([0.95, 0.9, 0.8, 0.6, 0.5, 0.4, 0.2, 0.1])
    violation = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool)
    band = choose_band(violation, scores, precision=1.0)
    assert band.high == 0.8
    assert 0.4 < band.low < 0.4001
    found = measure_band(violation, scores, band, 1.0)
    assert found is not None
    assert (found.share, found.right) == (6 / 8, 1.0)
    # For four in five, five from .5 on will do, and so will five up to .6: cut at .5, 4 of 5 are right.
    assert choose_band(violation, scores, precision=0.8) == Band(0.5, 0.5)


def test_posts_as_sure_as_each_other_are_decided_together() -> None:
    scores = np.array([0.9, 0.9, 0.9, 0.1])
    violation = np.array([True, True, False, False])
    assert choose_band(violation, scores, 0.9).high == 2.0
    assert choose_band(violation, scores, 0.6).high == 0.9


@pytest.mark.parametrize("violation", [[True, True, True], [False, False, False]])
def test_one_kind_of_post_only(violation: list[bool]) -> None:
    scores, truth = np.array([0.2, 0.5, 0.9]), np.array(violation)
    found = measure_band(truth, scores, choose_band(truth, scores, 0.95), 0.95)
    assert found is not None
    assert (found.share, found.right) == (1.0, 1.0)


def test_a_model_that_knows_nothing_decides_nothing() -> None:
    violation = np.arange(10) % 2 == 0
    scores = np.full(10, 0.5)
    found = measure_band(violation, scores, choose_band(violation, scores, 0.95), 0.95)
    assert found is not None
    assert (found.share, found.right) == (0.0, None)
    nothing = np.array([])
    assert choose_band(nothing.astype(bool), nothing, 0.95) == Band(0.0, 2.0)
    assert measure_band(nothing.astype(bool), nothing, Band(0.0, 2.0), 0.95) is None


def test_on_other_posts_about_as_many_are_right_as_was_asked_for() -> None:
    random = np.random.default_rng(0)

    def posts(count: int) -> tuple[np.ndarray, np.ndarray]:
        scores = random.beta(0.4, 0.6, size=count)
        return random.random(count) < scores, scores

    band = choose_band(*posts(20_000), precision=0.95)
    found = measure_band(*posts(20_000), band, 0.95)
    assert found is not None and found.right is not None
    assert found.right == pytest.approx(0.95, abs=0.01)
    assert 0.4 < found.share < 0.95


def test_intervals_of_what_is_decided_cover_the_truth_about_as_often_as_they_say() -> None:
    """Of the share decided and of how much of it is right, loosely: of 200; copies are drawn together."""
    random = np.random.default_rng(1)

    def posts(count: int) -> tuple[np.ndarray, np.ndarray]:
        scores = random.beta(0.4, 0.6, size=count)
        return random.random(count) < scores, scores

    band = Band(0.2, 0.8)
    truth = measure_band(*posts(200_000), band, 0.9)
    assert truth is not None and truth.right is not None
    copies = np.repeat(np.arange(150), 3)
    share = right = apart = 0
    for _ in range(200):
        violation, scores = (values[copies] for values in posts(150))
        for clusters in (copies, None):
            [found] = measure_bands(violation, scores, {0.9: band}, clusters, resamples=400)
            assert found.share_interval is not None and found.right_interval is not None
            covers = found.share_interval.low <= truth.share <= found.share_interval.high
            if clusters is None:
                apart += covers
                continue
            share += covers
            right += found.right_interval.low <= truth.right <= found.right_interval.high
    assert 0.88 <= share / 200 <= 0.99
    assert 0.88 <= right / 200 <= 0.99
    assert apart / 200 < 0.85


def test_where_nothing_is_decided_no_interval_is_made_up() -> None:
    violation, scores = np.array([True, False]), np.array([0.5, 0.5])
    [found] = measure_bands(violation, scores, {0.9: Band(0.0, 2.0)}, resamples=50)
    assert (found.right, found.right_interval) == (None, None)
    assert (found.share, found.share_interval) == (0.0, Interval(0.0, 0.0))
    [found] = measure_bands(violation, scores, {0.9: Band(0.1, 0.9)}, resamples=50)
    # That none of two posts is sure enough says little of others.
    assert (found.share, found.share_interval) == (0.0, wilson(0.0, 2))
    assert measure_bands(violation, None, {0.9: Band(0.0, 2.0)}) == ()
    assert measure_bands(violation[:0], scores[:0], {0.9: Band(0.0, 2.0)}) == ()
