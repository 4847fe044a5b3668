"""Datasets from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import backend.cli.curation  # noqa: F401 - it adds its commands
from backend.cli import app
from backend.db.engine import Database
from backend.db.models import Item
from backend.errors import InvalidInputError, NotFoundError, OverruleError
from tests.backend.curation.posts import add_posts, fill


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, OverruleError):
        raise result.exception
    return result


def document(*arguments: str) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    parsed: dict[str, object] = json.loads(result.stdout)
    return parsed


def test_a_version_is_built_listed_and_shown(sqlite_database: Database) -> None:
    fill(sqlite_database)
    built = document("dataset", "build", "--handling", "review")
    assert (built["number"], built["created"], built["handling"]) == (1, True, "review")
    assert built["rows"] == {"train": 9, "validation": 1}
    assert built["created_by"] == "tester"
    again = run("dataset", "build", "--handling", "review")
    assert "Nothing has changed since version 1" in again.stderr
    more = document(
        "dataset", "build", "--handling", "review", "--include-unverified", "--include-unanswered"
    )
    assert (more["number"], more["rows"]) == (2, {"train": 12, "validation": 1})

    listed = run("dataset", "list")
    assert "review" in listed.stdout and "tester" in listed.stdout
    result = run("dataset", "list", "--json")
    assert [version["number"] for version in json.loads(result.stdout)] == [2, 1]

    shown = run("dataset", "show", "version 1")
    assert "9 rows for training, 1 for validation" in shown.stdout
    assert "left out: 1 nobody has decided on it" in shown.stdout
    rows = document("dataset", "show", "1", "--rows", "--split", "train", "--limit", "2")
    taught = rows["taught"]
    assert isinstance(taught, list)
    assert [row["excerpt"] for row in taught] == ["the post right", "the post right hate"]
    assert rows["next_after"] == taught[-1]["item_id"]
    table = run("dataset", "show", "1", "--rows", "--limit", "2")
    assert "--after" in table.stderr


def test_a_version_and_all_decisions_are_exported(sqlite_database: Database, tmp_path: Path) -> None:
    fill(sqlite_database)
    run("dataset", "build", "--handling", "review")
    chats = tmp_path / "v.jsonl"
    assert document("dataset", "export", "1", "--out", str(chats)) == {
        "file": str(chats),
        "format": "jsonl",
        "written": 22,
    }
    assert len(chats.read_text("utf-8").splitlines()) == 22
    table = tmp_path / "v.CSV"
    assert document("dataset", "export", "v1", "-o", str(table))["format"] == "csv"
    decisions = tmp_path / "decisions.parquet"
    assert document("export", "--out", str(decisions)) == {
        "file": str(decisions),
        "format": "parquet",
        "written": 15,
    }
    said = run("export", "--format", "csv", "--out", str(tmp_path / "d"))
    assert "Wrote 15 rows" in said.stderr and said.stdout == ""


def test_a_project_is_named_by_name_or_id_where_there_are_several(sqlite_database: Database) -> None:
    project_id, _ = fill(sqlite_database)
    with sqlite_database.write() as session:
        add_posts(session, name="Other", posts=())
    for name in ("Posts", str(project_id)):
        assert document("dataset", "build", "--handling", "keep", "-p", name)["number"] == 1
    with pytest.raises(InvalidInputError, match="several projects"):
        run("dataset", "list")
    assert "no dataset version yet" in run("dataset", "list", "-p", "Other").stderr


def test_what_cannot_be_done_is_said(sqlite_database: Database, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        run("dataset", "list")
    with sqlite_database.write() as session:
        add_posts(session, posts=())
    with pytest.raises(InvalidInputError, match="no training row"):
        run("dataset", "build", "--handling", "review")
    with pytest.raises(NotFoundError, match="no dataset version"):
        run("dataset", "export", "7", "--out", str(tmp_path / "x"))
    for wrong in (["build"], ["build", "--handling", "best"], ["export", "1"], ["show"]):
        assert run("dataset", *wrong).exit_code == 2


def test_a_post_cannot_steer_the_terminal(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        _, ids = add_posts(session)
        session.get_one(Item, ids["right"]).text = "\x1b[31mred[/] [bold]x \u202e"
    run("dataset", "build", "--handling", "keep")
    shown = run("dataset", "show", "1", "--rows", "--limit", "1").stdout
    assert "\x1b[31m" not in shown and "\u202e" not in shown
    assert "[bold]" in shown


@pytest.mark.parametrize(
    "command",
    [("dataset", "build"), ("dataset", "list"), ("dataset", "show"), ("dataset", "export"), ("export",)],
)
def test_help_has_an_example(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert f"Example: overrule {' '.join(command)}" in result.stdout
