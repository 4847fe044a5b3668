"""Calibration by hand, and against probabilities that are what they say."""

import numpy as np
import pytest

from backend.evaluation.calibration import expected_error, reliability


def test_bins_by_hand() -> None:
    gold = np.array([True, False, True, True, False])
    scores = np.array([0.05, 0.09, 0.55, 1.0, 0.91])
    found = reliability("hate", "Hate", gold, scores)
    assert found is not None
    assert found.said == pytest.approx((0.07, 0.55, 0.955))
    assert found.having == pytest.approx((0.5, 1.0, 0.5))
    assert found.posts == (2, 1, 2)
    assert expected_error(gold, scores) == pytest.approx((2 * 0.43 + 0.45 + 2 * 0.455) / 5)


def test_honest_probabilities_have_hardly_an_error_and_exaggerated_ones_do() -> None:
    random = np.random.default_rng(0)
    scores = random.random(50_000)
    gold = random.random(50_000) < scores
    honest, loud = expected_error(gold, scores), expected_error(gold, scores > 0.5)
    assert honest is not None and honest < 0.01
    # Of what is called certain three quarters come true.
    assert loud == pytest.approx(0.25, abs=0.01)


def test_without_posts_there_is_nothing_to_say() -> None:
    nothing = np.array([])
    assert expected_error(nothing.astype(bool), nothing) is None
