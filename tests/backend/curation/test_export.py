"""Exports hold everything, harm no spreadsheet, and are whole or absent."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from backend.curation import repository
from backend.curation.export import cell, export_decisions, export_version
from backend.curation.service import CurationService
from backend.curation.views import Format
from backend.db.engine import Database
from backend.db.models import Item, TeacherAnswer
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.errors import NotFoundError, OverruleError
from tests.backend.curation.posts import Post, add_posts, fill
from training.policy import Category, Policy
from training.prompt import system_message

POLICY = Policy(
    categories=tuple(
        Category(code=code, name=code.capitalize(), definition=f"is {code}.") for code in ("hate", "scam")
    )
)


def build(database: Database, handling: Handling = Handling.REVIEW) -> tuple[int, int]:
    project_id, _ = fill(database)
    with database.write() as session:
        version = CurationService(session).build(project_id, handling, person="ada").version
    return project_id, version.id


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def by_name(rows: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {row["text"].removeprefix("the post "): row for row in rows}


def test_jsonl_is_a_chat_for_each_form_that_can_be_learned(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "CHUNK", 3)
    _, version_id = build(database)
    seen: list[tuple[int, int | None]] = []
    with database.read() as session:
        written = export_version(
            session, version_id, "jsonl", tmp_path / "v.jsonl", lambda done, total: seen.append((done, total))
        )
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text("utf-8").splitlines()]
    assert written == len(lines) == 22
    assert seen == [(3, 10), (6, 10), (9, 10), (10, 10)]
    right = [line for line in lines if line["messages"][1]["content"] == "the post right"]
    assert [line["form"] for line in right] == ["direct", "reasoned", "explained"]
    assert right[0]["messages"] == [
        {"role": "system", "content": system_message(POLICY, "direct")},
        {"role": "user", "content": "the post right"},
        {"role": "assistant", "content": "scam"},
    ]
    assert right[1]["messages"][2]["content"] == (
        'Analysis: why right\nHarmful information: "post"\nClassification: scam'
    )
    assert right[2]["messages"][2]["content"] == (
        'Classification: scam\nAnalysis: why right\nHarmful information: "post"'
    )
    assert (right[0]["labels"], right[0]["split"]) == (["scam"], "train")
    corrected = [line for line in lines if line["messages"][1]["content"] == "the post wrong"]
    assert [line["form"] for line in corrected] == ["direct"]
    assert corrected[0]["messages"][2]["content"] == "none"


def test_csv_and_parquet_hold_a_row_for_each_item(database: Database, tmp_path: Path) -> None:
    _, version_id = build(database)
    with database.read() as session:
        for format in ("csv", "parquet"):
            assert export_version(session, version_id, format, tmp_path / f"v.{format}") == 10
    rows = by_name(read_csv(tmp_path / "v.csv"))
    assert rows["right"] == {
        "id": rows["right"]["id"],
        "text": "the post right",
        "split": "train",
        "labels": "scam",
        "analysis": "why right",
        "harmful": '["post"]',
        "origin": "teacher",
    }
    assert (rows["wrong"]["labels"], rows["wrong"]["analysis"]) == ("none", "")
    assert rows["from scratch"]["labels"] == "hate|scam"
    assert rows["validation"]["split"] == Split.VALIDATION.value
    table = pq.read_table(tmp_path / "v.parquet").to_pylist()
    stored = {row["text"].removeprefix("the post "): row for row in table}
    assert (stored["wrong"]["labels"], stored["wrong"]["analysis"]) == ([], None)
    assert stored["from scratch"]["labels"] == ["hate", "scam"]


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_decisions_say_who_decided_what_and_when(database: Database, tmp_path: Path, format: Format) -> None:
    project_id, _ = fill(database)
    path = tmp_path / "decisions"
    with database.read() as session:
        assert export_decisions(session, project_id, format, path) == 15
    if format == "csv":
        rows = by_name(read_csv(path))
        assert {row["labels"] for row in rows.values()} == {"none", "scam", "hate", "hate|scam", ""}
        assert rows["cannot tell"]["labels"] == rows["cannot tell"]["reason"] == ""
        assert rows["corrected"]["decided_at"].endswith("+00:00")
        return
    if format == "jsonl":
        found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    else:
        found = pq.read_table(path).to_pylist()
    corrected = next(row for row in found if row["text"] == "the post corrected")
    expected = {
        "split": "train",
        "source": "mail",
        "teacher": "teacher-1",
        "teacher_labels": ["scam"],
        "teacher_analysis": "why corrected",
        "teacher_harmful": ["post"],
        "agreement": "other-labels",
        "labels": ["hate"],
        "decided_by": "review",
        "verdict": "wrong-labels",
        "reason": "person's reason",
        "harmful": [],
        "person": "ada",
        "policy_version": 1,
    }
    assert {name: corrected[name] for name in expected} == expected
    gold = next(row for row in found if row["text"] == "the post gold only")
    assert (gold["teacher"], gold["teacher_labels"], gold["verdict"], gold["decided_by"]) == (
        None,
        None,
        None,
        "gold",
    )
    assert next(row for row in found if row["text"] == "the post cannot tell")["labels"] is None


HOSTILE = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    '=HYPERLINK("http://x","y")',
    "'=1",
    "a,=1\n=2",
)


def test_no_cell_is_a_formula(database: Database, tmp_path: Path) -> None:
    with database.write() as session:
        posts = tuple(Post(str(number), (), ()) for number in range(len(HOSTILE)))
        project_id, ids = add_posts(session, posts=posts)
        for item_id, text in zip(ids.values(), HOSTILE, strict=True):
            item = session.get_one(Item, item_id)
            item.text = text
            assert item.answer_id is not None
            session.get_one(TeacherAnswer, item.answer_id).analysis = text
        version = CurationService(session).build(project_id, Handling.KEEP, person="ada").version
        export_version(session, version.id, "csv", tmp_path / "v.csv")
        export_version(session, version.id, "parquet", tmp_path / "v.parquet")
    rows = read_csv(tmp_path / "v.csv")
    for row, text in zip(rows, HOSTILE, strict=True):
        harmless = text if text[0] in "'a" else f"'{text}"
        assert row["text"] == row["analysis"] == harmless
    assert pq.read_table(tmp_path / "v.parquet")["text"].to_pylist() == list(HOSTILE)


def test_cells_tell_no_label_from_not_known() -> None:
    assert (cell("labels", []), cell("labels", None), cell("harmful", [])) == ("none", "", "[]")
    assert cell("harmful", ['say "hi"', "ü"]) == '["say \\"hi\\"", "ü"]'


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_a_file_that_cannot_be_written_leaves_nothing(
    sqlite_database: Database, tmp_path: Path, format: Format
) -> None:
    _, version_id = build(sqlite_database)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("kept")
    with sqlite_database.read() as session:
        for path in (tmp_path / "missing" / "v", tmp_path / "folder"):
            with pytest.raises(OverruleError, match="cannot be written"):
                export_version(session, version_id, format, path)
        with pytest.raises(NotFoundError):
            export_version(session, 99, format, tmp_path / "v")
    assert {path.name for path in tmp_path.iterdir()} - {"home"} == {"folder"}
    assert (tmp_path / "folder" / "kept").read_text() == "kept"


def test_an_export_that_breaks_off_leaves_the_old_file(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "CHUNK", 2)
    project_id, version_id = build(sqlite_database)
    path = tmp_path / "v.csv"
    path.write_text("old")

    def stop(done: int, _total: int | None) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with sqlite_database.read() as session, pytest.raises(KeyboardInterrupt):
        export_version(session, version_id, "csv", path, stop)
    assert path.read_text() == "old"
    assert {found.name for found in tmp_path.iterdir()} - {"home"} == {"v.csv"}
    with sqlite_database.read() as session:
        assert export_decisions(session, project_id, "csv", path) == 15


def test_a_project_without_decisions_exports_an_empty_table(
    sqlite_database: Database, tmp_path: Path
) -> None:
    with sqlite_database.write() as session:
        project_id, _ = add_posts(session, posts=())
        for format in ("jsonl", "csv", "parquet"):
            assert export_decisions(session, project_id, format, tmp_path / format) == 0
    assert (tmp_path / "jsonl").read_text() == ""
    assert read_csv(tmp_path / "csv") == []
    assert pq.read_table(tmp_path / "parquet").num_rows == 0
