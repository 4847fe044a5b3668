"""P-values against hand-worked examples and simulations with a known truth."""

import numpy as np
import pytest
from scipy.stats import binom

from backend.evaluation.significance import bootstrap_p, holm, mcnemar


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        # All six tosses alike, either way: 2 / 64.
        (6, 0, 2 / 64),
        (0, 6, 2 / 64),
        # 0, 1, 7 or 8 of eight: 2 (1 + 8) / 256.
        (7, 1, 18 / 256),
    ],
)
def test_mcnemar_is_the_coins(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar(only_a, only_b) == pytest.approx(p)


def test_mcnemar_errs_no_more_often_than_it_says() -> None:
    """Exactly: of all splits of 40 tosses, those below 0.05 come less often than that."""
    chance = sum(binom.pmf(heads, 40, 0.5) for heads in range(41) if mcnemar(heads, 40 - heads) < 0.05)
    assert 0.02 < chance <= 0.05


def test_holm_by_hand() -> None:
    # Sorted .01, .02, .04 of three asked: 3 x .01, 2 x .02, 1 x .04; one that was not asked costs nothing.
    assert holm([0.04, None, 0.01, 0.02]) == pytest.approx([0.04, None, 0.03, 0.04])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.01, 0.001]) == pytest.approx([0.01, 0.002])
    assert holm([]) == []


def test_a_bootstrap_leaves_zero_out_or_not() -> None:
    random = np.random.default_rng(0)
    for mean in (0.0, 1.5, 1.9, 2.1, 3.0):
        samples = random.normal(mean, 1, size=20_000)
        low, high = np.percentile(samples, [2.5, 97.5])
        p = bootstrap_p(samples)
        assert p is not None and (p < 0.05) == (low > 0 or high < 0)
    assert bootstrap_p(np.zeros(100)) == 1.0
    assert bootstrap_p(np.ones(99)) == pytest.approx(0.02)
    assert bootstrap_p(np.array([np.nan, np.nan])) is None
