from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from training.thresholds import BEST_F1, Aim, choose_thresholds


def column(labels: list[int], scores: list[float], aim: Aim = BEST_F1) -> float:
    has, given = np.array(labels, dtype=bool)[:, None], np.array(scores)[:, None]
    return float(choose_thresholds(has, given, aim)[0])


def test_plain_cases() -> None:
    assert column([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]) == 0.5
    assert column([0, 0, 1, 1], [0.01, 0.02, 0.1, 0.2]) == pytest.approx(0.06)
    assert column([0, 0], [0.9, 0.8]) == 0.5
    assert column([1, 1], [0.9, 0.8]) == 0.5
    assert column([1, 1], [0.0, 0.0]) == 0.5


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        choose_thresholds(np.zeros((2, 1), dtype=bool), np.zeros((2, 2)))
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


LABELS = [1, 1, 0, 1, 0, 0]
SCORES = [0.9, 0.8, 0.7, 0.6, 0.3, 0.2]


@pytest.mark.parametrize(
    ("aim", "named"),
    [
        # Two of two right; with the third one of three is wrong.
        ("precision=1", 2),
        # From .6 on three of four are right, which is the most recall.
        ("precision=0.75", 4),
        # All three are found from .6 on.
        ("recall=1", 4),
        # Two of three from .8 on, and nothing wrong.
        ("recall=0.6", 2),
        ("f1", 4),
    ],
)
def test_an_aim_by_hand(aim: str, named: int) -> None:
    assert sum(score >= column(LABELS, SCORES, Aim.read(aim)) for score in SCORES) == named


def test_what_cannot_be_had_is_come_near_to() -> None:
    # The surest post is harmless: of all thresholds the one from .6 on is right most often.
    labels, scores = [0, 1, 1, 0], [0.9, 0.7, 0.6, 0.1]
    assert 0.1 < column(labels, scores, Aim.read("precision=0.99")) <= 0.6


@pytest.mark.parametrize(
    ("text", "aim"),
    [("f1", BEST_F1), ("Precision = .9", Aim("precision", 0.9)), ("recall=1", Aim("recall", 1.0))],
)
def test_aims_are_read_and_written(text: str, aim: Aim) -> None:
    assert Aim.read(text) == aim
    assert Aim.read(str(aim)) == aim


@pytest.mark.parametrize(
    "text", ["", "f2", "precision", "precision=0", "recall=1.2", "recall=-1", "precision=nan"]
)
def test_what_is_no_aim_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="thresholds are chosen for f1, for precision"):
        Aim.read(text)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=30),
    st.sampled_from(["precision=0.5", "precision=0.9", "recall=0.5", "recall=0.9"]),
)
def test_an_aim_that_can_be_had_is_had(pairs: list[tuple[bool, float]], text: str) -> None:
    labels = np.array([label for label, _ in pairs])
    scores = np.array([score for _, score in pairs])
    aim = Aim.read(text)
    measured, other = (
        (precision_score, recall_score) if aim.figure == "precision" else (recall_score, precision_score)
    )
    able = [
        score
        for score in scores
        if score > 0 and measured(labels, scores >= score, zero_division=0.0) >= aim.wanted
    ]
    if labels.any() and able:
        named = scores >= column([int(label) for label in labels], scores.tolist(), aim)
        assert measured(labels, named, zero_division=0.0) >= aim.wanted
        best = max(other(labels, scores >= score, zero_division=0.0) for score in able)
        assert other(labels, named, zero_division=0.0) == pytest.approx(best)
