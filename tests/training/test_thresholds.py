from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from training.thresholds import best_f1_thresholds


def column(labels: list[int], scores: list[float]) -> float:
    return float(best_f1_thresholds(np.array(labels, dtype=bool)[:, None], np.array(scores)[:, None])[0])


def test_plain_cases() -> None:
    assert column([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]) == 0.5
    assert column([0, 0, 1, 1], [0.01, 0.02, 0.1, 0.2]) == pytest.approx(0.06)
    assert column([0, 0], [0.9, 0.8]) == 0.5
    assert column([1, 1], [0.9, 0.8]) == 0.5
    assert column([1, 1], [0.0, 0.0]) == 0.5


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        best_f1_thresholds(np.zeros((2, 1), dtype=bool), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="probabilities"):
        column([1], [float("nan")])


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=30))
def test_no_other_threshold_is_better(pairs: list[tuple[bool, float]]) -> None:
    labels = np.array([label for label, _ in pairs])
    scores = np.array([score for _, score in pairs])
    chosen = column([int(label) for label in labels], scores.tolist())
    assert 0 < chosen <= 1
    if not labels.any() or not scores.any():
        return

    def f1(threshold: float) -> float:
        return float(f1_score(labels, scores >= threshold, zero_division=0.0))

    assert f1(chosen) == pytest.approx(max(f1(score) for score in scores if score > 0))
