"""Guessing what a file's columns are, on headers as people have them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.errors import InvalidInputError
from backend.intake.columns import ColumnMapping, Purpose, guess_mapping, with_labels
from backend.intake.labels import LabelMode
from backend.intake.service import preview
from tests.backend.intake.files import write, write_csv, write_jsonl

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
HATECHECK = ColumnMapping(id="id", text="text", labels=("label",), group="functionality")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data with real posts is not here")


def guess(rows: list[dict[str, Any]], purpose: Purpose = Purpose.POSTS) -> ColumnMapping:
    return guess_mapping(list(rows[0]), rows, purpose)


def test_usual_names_in_any_spelling() -> None:
    rows = [
        {
            "Post ID": "1",
            "Comment Text": "hi",
            "Category": "scam",
            "Rationale": "r",
            "Split": "dev",
            "Site": "x",
        },
        {
            "Post ID": "2",
            "Comment Text": "ho",
            "Category": "none",
            "Rationale": "",
            "Split": "test",
            "Site": "y",
        },
    ]
    assert guess(rows) == ColumnMapping(
        id="Post ID",
        text="Comment Text",
        labels=("Category",),
        reason="Rationale",
        split="Split",
        source="Site",
    )


def test_without_a_name_the_text_is_the_long_column() -> None:
    rows = [{"a": "x", "b": f"a whole sentence, number {n}, that somebody wrote"} for n in range(5)]
    assert guess(rows).text == "b"
    assert guess([{"a": "x", "b": "y"}]).text is None


def test_one_column_per_category() -> None:
    rows = [
        {"id": "1", "comment_text": "a", "toxic": "0", "threat": "1", "likes": "17"},
        {"id": "2", "comment_text": "b", "toxic": "1.0", "threat": "", "likes": "0"},
    ]
    found = guess(rows)
    assert (found.labels, found.label_mode) == (("toxic", "threat"), LabelMode.COLUMNS)


def test_how_labels_are_written() -> None:
    def mode(*cells: Any) -> tuple[LabelMode, str | None]:
        found = guess([{"text": f"t{n}", "label": cell} for n, cell in enumerate(cells)])
        return found.label_mode, found.separator

    assert mode("scam", "none") == (LabelMode.SINGLE, None)
    assert mode("scam;hate", "none") == (LabelMode.SEPARATED, ";")
    assert mode("scam|hate", "") == (LabelMode.SEPARATED, "|")
    assert mode("scam, hate", "hate", "none") == (LabelMode.SEPARATED, ",")
    assert mode("hate, in earnest", "none") == (LabelMode.SINGLE, None)
    assert mode('["scam"]', "[]") == (LabelMode.JSON, None)
    assert mode(["scam"], []) == (LabelMode.JSON, None)


def test_a_name_alone_does_not_make_a_split_or_an_id() -> None:
    rows = [{"set": "blue", "id": "same", "text": f"t{n}", "label": "x"} for n in range(4)]
    found = guess(rows)
    assert (found.split, found.id) == (None, None)


def test_answers_beside_gold_labels_and_in_a_file_of_their_own() -> None:
    both = guess(
        [{"id": "1", "text": "t", "label": "x", "analysis": "a", "teacher_label": "y", "model": "m"}]
    )
    assert (both.labels, both.answer_labels, both.answer_analysis, both.answer_model) == (
        ("label",),
        "teacher_label",
        "analysis",
        "model",
    )
    own = {"id": "1", "analysis": "a", "harmful": [], "labels": [], "model": "m", "recheck_labels": ["x"]}
    found = guess([own], Purpose.ANSWERS)
    assert (found.labels, found.answer_labels, found.recheck_labels) == ((), "labels", "recheck_labels")
    # An analysis without the teacher's labels is no answer, only another column.
    assert not guess([{"id": "1", "text": "t", "label": "x", "analysis": "a"}]).has_answers


def test_what_is_missing_is_named_with_the_columns_that_there_are() -> None:
    with pytest.raises(InvalidInputError, match="posts' text") as error:
        ColumnMapping().check(["a", "b"], Purpose.POSTS)
    assert "a, b" in error.value.hint
    with pytest.raises(InvalidInputError, match="no column 'c'"):
        ColumnMapping(text="c").check(["a", "b"], Purpose.POSTS)
    with pytest.raises(InvalidInputError, match="labels"):
        ColumnMapping(text="a").check(["a"], Purpose.SET)
    with pytest.raises(InvalidInputError, match="teacher's labels"):
        ColumnMapping(id="a").check(["a"], Purpose.ANSWERS)
    with pytest.raises(InvalidInputError, match="which post"):
        ColumnMapping(answer_labels="a").check(["a"], Purpose.ANSWERS)


def test_several_columns_by_hand() -> None:
    rows = [{"text": "t", "a": "1", "b": "0"}]
    assert with_labels(ColumnMapping(text="text"), ("a", "b"), rows).label_mode is LabelMode.COLUMNS
    chosen = with_labels(ColumnMapping(text="text"), ("a",), rows, separator="/")
    assert (chosen.label_mode, chosen.separator) == (LabelMode.SEPARATED, "/")


def test_a_preview_shows_rows_labels_and_what_is_left_out(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [["id", "text", "label"], ["1", "a", "not_scam"], ["2", "", "scam"]])
    found = preview(path)
    assert found.rows == (
        {"id": "1", "text": "a", "label": "not_scam"},
        {"id": "2", "text": "", "label": "scam"},
    )
    assert (found.labels, found.none_label) == ({"not_scam": 1, "scam": 1}, "not_scam")
    assert found.problems == ("Line 3: the text is empty.",)
    assert (found.format, found.encoding) == ("csv", "utf-8")


def test_a_preview_says_what_stands_in_the_way(tmp_path: Path) -> None:
    found = preview(write(tmp_path / "a.csv", "a,b\n1,2\n"))
    assert "no column with the posts' text" in found.problems[0]
    again = preview(tmp_path / "a.csv", mapping=ColumnMapping(text="b"))
    assert again.problems == ()


def test_a_preview_of_answers_reads_them_as_such(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": "1", "labels": ["x"]}, {"id": "2", "labels": None}])
    found = preview(path, purpose=Purpose.ANSWERS)
    assert found.mapping.answer_labels == "labels"
    assert found.problems == ("Line 2: it holds no answer.",)


@needs_data
@pytest.mark.parametrize(
    ("name", "purpose", "expected"),
    [
        (
            "implicit_hate.csv",
            Purpose.POSTS,
            ColumnMapping(id="id", text="text", labels=("label",), reason="implied_statement"),
        ),
        ("hatecheck.csv", Purpose.SET, HATECHECK),
        ("xstest.csv", Purpose.SET, replace(HATECHECK, group="type")),
        (
            "implicit_hate_teacher.jsonl",
            Purpose.ANSWERS,
            ColumnMapping(
                id="id",
                text="text",
                reason="implied_statement",
                answer_analysis="analysis",
                answer_labels="teacher_label",
                answer_model="teacher_model",
            ),
        ),
    ],
)
def test_real_files_need_no_help(name: str, purpose: Purpose, expected: ColumnMapping) -> None:
    found = preview(DATA / name, purpose=purpose)
    assert found.mapping == expected
    assert found.problems == ()
