"""Labels as they are written, and the codes that they become."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.db.models.content import Split
from backend.errors import InvalidInputError
from backend.intake.cells import CellError, as_text
from backend.intake.labels import (
    LabelMode,
    UnknownLabelError,
    Vocabulary,
    answer_labels,
    categories_of,
    cell_labels,
    column_labels,
    guess_none,
    human_name,
    slug,
)
from backend.intake.rows import read_spans
from backend.intake.splits import given_split, hash_split
from backend.text import text_hash
from training.policy import Category, Policy

POLICY = Policy(categories=(Category(code="scam", name="Scam"), Category(code="hate_speech", name="Hate")))


def test_codes_and_names() -> None:
    assert slug("Implicit Hate!") == slug("implicit-hate") == "implicit_hate"
    assert slug("Insulte générale") == "insulte_generale"
    assert slug("ヘイト").startswith("label_")
    assert slug("ヘイト") != slug("詐欺")
    assert human_name("implicit_hate") == "Implicit hate"
    assert human_name("hate, in earnest") == "Hate in earnest"


@given(st.text(min_size=1).filter(lambda label: label.strip()))
def test_every_label_has_a_code(label: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9_]{0,62}", slug(label))


def test_cells_of_every_kind() -> None:
    assert cell_labels("scam", LabelMode.SINGLE, None) == ("scam",)
    assert cell_labels(" ", LabelMode.SINGLE, None) is None
    assert cell_labels(None, LabelMode.JSON, None) is None
    assert cell_labels("a; b;;a", LabelMode.SEPARATED, ";") == ("a", "b")
    assert cell_labels('["a", "b"]', LabelMode.JSON, None) == ("a", "b")
    assert cell_labels("['a', 'b']", LabelMode.JSON, None) == ("a", "b")
    assert cell_labels("[]", LabelMode.SINGLE, None) == ()
    assert cell_labels([], LabelMode.SINGLE, None) == ()
    assert cell_labels(1, LabelMode.SINGLE, None) == ("1",)
    for bad in ("scam", "[1", '[["a"]]', '[{"a": 1}]'):
        with pytest.raises(CellError):
            cell_labels(bad, LabelMode.JSON, None)


def test_zeros_everywhere_are_known_and_nothing_anywhere_is_not() -> None:
    assert column_labels([("a", "1"), ("b", 0.0), ("c", True), ("d", "")]) == ("a", "c")
    assert column_labels([("a", "0"), ("b", "0")]) == ()
    assert column_labels([("a", ""), ("b", None)]) is None
    with pytest.raises(CellError, match="neither 0 nor 1"):
        column_labels([("a", "0.7")])


@pytest.mark.parametrize(
    ("labels", "none"),
    [
        (["implicit_hate", "not_hate", "explicit_hate"], "not_hate"),
        (["hateful", "non-hateful"], "non-hateful"),
        (["unsafe", "safe"], "safe"),
        (["Normal", "offensive"], "Normal"),
        (["Neither", "None", "scam"], "None"),
        (["hate", "nothate"], "nothate"),
        (["0", "1"], "0"),
        (["OK", "not_ok"], "OK"),
        (["scam", "notary fraud"], None),
        ([], None),
    ],
)
def test_the_label_for_no_violation_is_guessed(labels: list[str], none: str | None) -> None:
    assert guess_none(labels) == none


def test_the_vocabulary_knows_codes_and_names_however_written() -> None:
    words = Vocabulary.of(POLICY, "not_bad")
    assert words.read(["HATE"]) == words.read(["hate speech"]) == ("hate_speech",)
    assert words.read(["hate", "Scam"]) == ("scam", "hate_speech")
    assert words.read(["Not Bad"]) == words.read(["none"]) == words.read([]) == ()
    with pytest.raises(UnknownLabelError, match="'spam'"):
        words.read(["scam", "spam"])
    with pytest.raises(CellError, match="both"):
        words.read(["scam", "none"])


def test_first_categories_leave_out_the_label_for_none() -> None:
    found = categories_of(["b", "not_b", "A thing", "none", "a_thing"], none_label="not_b")
    assert [(one.code, one.name) for one in found] == [("a_thing", "A thing"), ("b", "B")]
    with pytest.raises(InvalidInputError, match="'_'"):
        categories_of(["scam", "_"], none_label=None)


def test_a_teachers_labels_are_read_however_written() -> None:
    assert answer_labels(["a", "b"]) == ("a", "b")
    assert answer_labels("a, b; 'c'.") == ("a", "b", "c")
    assert answer_labels('["a"]') == ("a",)
    with pytest.raises(CellError):
        answer_labels("")


def test_quoted_spans_are_read_however_written() -> None:
    assert read_spans(["a", "", "a"]) == ("a",)
    assert read_spans('["one", "two"]') == ("one", "two")
    assert read_spans('"one" | "two"') == ("one", "two")
    assert read_spans("none") == read_spans(None) == read_spans("") == ()
    assert read_spans("[redacted] he said") == ("[redacted] he said",)


def test_numbers_of_sheets_stay_ids() -> None:
    assert [as_text(cell) for cell in (7, 7.0, "007", True, None, float("nan"))] == [
        "7",
        "7",
        "007",
        "true",
        "",
        "",
    ]


@given(st.text())
def test_a_split_follows_from_the_text_alone(text: str) -> None:
    assert hash_split(text_hash(text)) is hash_split(text_hash(f"  {text}\n"))


def test_splits_have_their_shares_and_words() -> None:
    found = [hash_split(text_hash(str(number))) for number in range(10_000)]
    assert [found.count(split) / 100 for split in Split] == pytest.approx([70, 10, 20], abs=1.5)
    assert given_split(" Dev ") is Split.VALIDATION
    assert given_split("fold 1") is None
