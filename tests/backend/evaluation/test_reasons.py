"""What reasons are worth, by hand."""

import numpy as np
import pandas as pd
import pytest

from backend.evaluation.reasons import Reason, is_faithful, measure_reasons, of_student, of_teacher
from backend.evaluation.said import SetRows, from_labels

POST = "Send your bank code NOW, and win a “prize”!"


@pytest.mark.parametrize(
    ("quotes", "faithful"),
    [
        (["bank code now"], True),
        (["send  your bank", '"prize"'], True),
        (["send your bank code", "or else"], False),
        (["credit card"], False),
        ([], True),
    ],
)
def test_a_quote_is_in_the_post_or_not(quotes: list[str], faithful: bool) -> None:
    assert is_faithful(Reason(POST, "because", quotes)) is faithful


def test_the_figures_of_some_reasons() -> None:
    found = measure_reasons(
        [
            Reason(POST, "It asks for a bank code.", ["bank code"], agrees=True),
            Reason(POST, "It threatens.", ["or else"], agrees=True),
            Reason(POST, "Harmless.", [], agrees=False),
            Reason(POST, "Two words", [], agrees=None),
            Reason(POST, "  ", [], agrees=True),
        ]
    )
    assert found is not None
    assert (found.reasons, found.quoting, found.faithful) == (4, 0.5, 0.25)
    assert (found.agreeing, found.words) == (pytest.approx(2 / 3), 2)


def test_without_a_reason_there_is_nothing_to_tell() -> None:
    assert measure_reasons([]) is None
    assert measure_reasons([Reason(POST, "", [])]) is None


def test_a_teachers_verdict_is_whether_it_found_anything_harmful() -> None:
    found = of_teacher(
        [
            (POST, "It asks for a code.", ["bank code"], ["scam"]),
            (POST, "Nothing is wrong here.", [], []),
            (POST, "Odd.", ["prize"], []),
            (POST, "Odd too.", [], ["scam"]),
        ]
    )
    assert found is not None
    assert (found.quoting, found.faithful, found.agreeing) == (0.5, 0.5, 0.5)


def test_an_answer_that_could_not_be_read_agrees_with_nothing() -> None:
    found = of_teacher([(POST, "A scam.", ["prize"], ["scam"]), (POST, "garbled", ["prize"], None)])
    assert found is not None
    assert (found.reasons, found.agreeing, found.unreadable) == (1, 0.5, 1)


def test_a_teacher_that_never_quotes_comes_to_no_verdict() -> None:
    found = of_teacher([(POST, "A scam.", [], ["scam"]), (POST, "Fine.", [], [])])
    assert found is not None
    assert (found.quoting, found.agreeing) == (0, None)


def test_a_students_verdict_is_the_answer_that_it_wrote() -> None:
    rows = SetRows((1, 2, 3, 4), (("scam",), (), (), ()), np.array([True, False, False, False]))
    said = from_labels(rows, ["scam"], False, ["scam"], {1: ["scam"], 2: [], 3: ["scam"], 4: []})
    written = pd.DataFrame(
        {
            "id": ["1", "2", "3", "4"],
            "analysis": ["It asks for a code.", "Fine.", "Fine too.", None],
            "harmful": [["bank code"], [], [], []],
            "labels": [["scam"], [], [], None],
        }
    )
    found = of_student(dict.fromkeys(rows.ids, POST), written, said)
    assert found is not None
    # The fourth answer could not be read, which agrees with nothing; the third post is a scam by the
    # thresholds, not by its reason.
    assert (found.reasons, found.agreeing) == (3, 0.5)
    assert found.unreadable == 1
    assert found.faithful == pytest.approx(1 / 3)
