"""Prediction files: what fits is read, what does not is refused with the reason."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from backend.db.models.evaluation import Outcome
from backend.errors import InvalidInputError
from backend.evaluation.frames import Scores, choose_thresholds, decided_only, read_scores
from backend.evaluation.results import ANY
from backend.evaluation.said import Said, SetRows, from_labels, from_scores
from tests.backend.evaluation.build import frame

CODES = ("hate", "scam")


def rows(*labels: tuple[str, ...]) -> SetRows:
    return SetRows(
        tuple(range(1, len(labels) + 1)), labels, np.array([bool(these) for these in labels], dtype=bool)
    )


def said(scores: Scores, *labels: tuple[str, ...], yes_no: bool = False, threshold: float = 0.5) -> Said:
    thresholds = dict.fromkeys((*CODES, ANY), threshold)
    return from_scores(rows(*labels), CODES, yes_no, scores, thresholds)


def test_a_file_is_read_and_put_in_order() -> None:
    scores = read_scores(frame({7: (0.9, 0.1), 3: (0.2, 0.8)}, CODES), CODES).of((3, 7))
    assert scores.ids == (3, 7)
    assert scores.values.tolist() == [[0.2, 0.8], [0.9, 0.1]]
    assert scores.any_violation is None
    assert scores.any_scores().tolist() == [0.8, 0.9]


def test_the_trainers_own_probability_of_any_violation_counts() -> None:
    table = frame({1: (0.6, 0.6)}, CODES).assign(any_violation=0.7)
    assert read_scores(table, CODES).any_scores().tolist() == [0.7]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (frame({1: (0.9,)}, ("hate",)), "no column p_scam"),
        (frame({1: (0.9, 0.1)}, CODES).drop(columns="id"), "no column id"),
        (frame({1: (0.9, 0.1)}, CODES).assign(id="one"), "not a number"),
        (pd.concat([frame({1: (0.9, 0.1)}, CODES)] * 2), "twice"),
        (frame({1: (1.4, 0.1)}, CODES), "no probability"),
        (frame({1: (-0.4, 0.1)}, CODES), "no probability"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(table: pd.DataFrame, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        read_scores(table, CODES)


def test_rounding_is_no_error() -> None:
    assert read_scores(frame({1: (1.0000001, -1e-9)}, CODES), CODES).values.tolist() == [[1, 0]]


def test_predictions_of_other_posts_are_refused() -> None:
    scores = read_scores(frame({1: (0.9, 0.1), 9: (0.5, 0.5)}, CODES), CODES)
    with pytest.raises(InvalidInputError, match="1 of its 2 posts are missing and 1 are not in it"):
        scores.of((1, 2))


def test_thresholds_give_the_best_f1_on_decided_posts_only() -> None:
    validation = read_scores(
        frame({1: (0.9, 0.2), 2: (0.4, 0.1), 3: (0.3, 0.2), 4: (0.1, 0.1), 5: (0.99, 0.99)}, CODES), CODES
    )
    decisions = {1: ("hate",), 2: ("hate",), 3: (), 4: ()}
    thresholds = choose_thresholds(*decided_only(validation, decisions))
    assert thresholds["hate"] == pytest.approx(0.35)
    assert thresholds["scam"] == 0.5, "no validation post has it"
    gold, scores = [1, 1, 0, 0], np.array([0.9, 0.4, 0.3, 0.1])
    assert f1_score(gold, scores >= thresholds[ANY]) == 1


@pytest.mark.parametrize("table", [frame({}, CODES), frame({1: (float("nan"), float("nan"))}, CODES)])
def test_thresholds_without_anything_to_choose_by(table: pd.DataFrame) -> None:
    decided = decided_only(read_scores(table, CODES), {1: ("hate",)})
    assert choose_thresholds(*decided) == {
        "hate": 0.5,
        "scam": 0.5,
        ANY: 0.5,
    }


def test_labels_and_outcomes_follow_the_thresholds() -> None:
    scores = read_scores(
        frame({1: (0.9, 0.1), 2: (0.1, 0.9), 3: (0.9, 0.1), 4: (0.1, 0.1), 5: (0.9, 0.9)}, CODES), CODES
    )
    found = said(scores, ("hate",), ("hate",), (), ("scam",), ("scam", "hate"))
    assert found.labels == (("hate",), ("scam",), ("hate",), (), ("hate", "scam"))
    assert found.judged.outcomes() == [
        Outcome.RIGHT,
        Outcome.OTHER_LABELS,
        Outcome.FALSE_ALARM,
        Outcome.MISSED,
        Outcome.RIGHT,
    ]


def test_a_yes_no_set_is_decided_by_any_violation() -> None:
    scores = read_scores(frame({1: (0.3, 0.1), 2: (0.1, 0.1)}, CODES), CODES)
    thresholds = {"hate": 0.5, "scam": 0.5, ANY: 0.2}
    set_rows = SetRows((1, 2), ((), ()), np.array([True, True]))
    found = from_scores(set_rows, CODES, True, scores, thresholds)
    assert found.judged.codes == ()
    assert found.judged.flagged.tolist() == [True, False]
    assert found.judged.outcomes() == [Outcome.RIGHT, Outcome.MISSED]


def test_one_score_that_is_no_number_refuses_its_category_only() -> None:
    scores = read_scores(frame({1: (float("nan"), 0.9), 2: (0.4, 0.1)}, CODES), CODES)
    found = said(scores, ("scam",), ("hate",))
    assert found.judged.codes == ("scam",)
    assert found.refused == {"hate": "1 of 2 scores are not numbers."}
    assert found.scores == ({"scam": 0.9}, {"scam": 0.1})


@pytest.mark.parametrize("yes_no", [False, True])
def test_no_usable_score_at_all_judges_nothing(yes_no: bool) -> None:
    scores = read_scores(frame({1: (float("nan"), float("inf"))}, CODES), CODES)
    found = said(scores, ("scam",), yes_no=yes_no)
    assert len(found.judged) == 0
    assert found.labels == ()
    assert found.notes == ("None of the model's scores can be used.",)


def test_a_category_that_the_model_does_not_know_is_not_held_against_it() -> None:
    scores = read_scores(frame({1: (0.9,), 2: (0.1,)}, ("hate",)), ("hate",))
    found = said(scores, ("hate", "scam"), ("scam",))
    assert found.judged.codes == ("hate",)
    assert found.refused == {"scam": "The model's policy does not have it."}
    assert found.judged.outcomes() == [Outcome.RIGHT, Outcome.RIGHT]


def test_a_teacher_is_judged_on_what_it_answered() -> None:
    found = from_labels(rows(("hate",), (), ("scam",)), CODES, False, CODES, {1: ("hate",), 3: ()})
    assert found.judged.row_ids.tolist() == [1, 3]
    assert found.judged.outcomes() == [Outcome.RIGHT, Outcome.MISSED]
    assert found.scores is None
