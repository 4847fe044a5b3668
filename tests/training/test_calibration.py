"""A temperature makes probabilities mean what they say, and moves no post past another."""

from __future__ import annotations

import numpy as np
import pytest

from training.calibration import fit_temperature, scaled


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found(true: float) -> None:
    random = np.random.default_rng(0)
    meant = random.beta(0.7, 1.3, size=(20_000, 2)).clip(0.02, 0.98)
    labels = random.random(meant.shape) < meant
    said = scaled(meant, 1 / true)
    assert fit_temperature(labels, said) == pytest.approx(true, rel=0.05)
    assert scaled(said, true) == pytest.approx(meant, abs=1e-6)


def test_the_order_stays() -> None:
    scores = np.array([0.0, 1e-5, 0.2, 0.5, 0.9, 1.0])
    cooler = scaled(scores, 2.5)
    assert (np.diff(cooler) > 0).all()
    assert cooler[3] == 0.5
    assert cooler[0] > 0 and cooler[-1] < 1


@pytest.mark.parametrize("label", [True, False])
def test_one_kind_of_label_tells_nothing(label: bool) -> None:
    assert fit_temperature(np.full((5, 1), label), np.full((5, 1), 0.7)) is None
    assert fit_temperature(np.zeros((0, 2), dtype=bool), np.zeros((0, 2))) is None


def test_scores_that_tell_all_or_nothing_stay_within_bounds() -> None:
    labels = np.array([[True], [False]] * 10)
    sure = fit_temperature(labels, np.where(labels, 0.6, 0.4))
    wrong = fit_temperature(labels, np.where(labels, 0.0, 1.0))
    assert sure is not None and 0.04 < sure < 0.1
    assert wrong is not None and 15 < wrong < 20.1
