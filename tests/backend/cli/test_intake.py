"""`overrule import` and `overrule policy`, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

import backend.cli.intake  # noqa: F401
from backend.cli import app
from backend.db.engine import Database
from backend.errors import InvalidInputError, NotFoundError
from backend.policies.service import PolicyService
from backend.projects.service import ProjectService
from tests.backend.intake.files import write, write_csv, write_jsonl

pytestmark = pytest.mark.usefixtures("sqlite_database")


def overrule(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def told(*arguments: str | Path) -> dict[str, Any]:
    """The one JSON document on standard output."""
    result = overrule(*arguments, "--json")
    assert result.exit_code == 0, result.exception
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    rows = [
        ["name", "what", "a", "b", "why"],
        ["1", "Pay [bold]now[/]", "scam", "1", "asks"],
        ["2", "Hello", "not_bad", "0", ""],
        ["3", "", "scam", "0", ""],
    ]
    return write_csv(tmp_path / "my posts.csv", rows)


OPTIONS = ("--id", "name", "--text", "what", "--labels", "a", "--reason", "why")


def test_import_says_what_happened_on_standard_error(posts: Path) -> None:
    result = overrule("import", posts, *OPTIONS)
    assert result.exit_code == 0
    assert result.stdout == ""
    said = " ".join(result.stderr.split())
    assert "Project my posts (new project)" in said
    assert "Posts added 2" in said
    assert "not_bad (guessed; --none-label says otherwise)" in said
    assert "line 4: the text is empty" in said
    again = overrule("import", posts, *OPTIONS)
    assert "Nothing new" in again.stderr


def test_import_as_json(posts: Path) -> None:
    document = told("import", posts, "--project", "P", *OPTIONS)
    assert (document["project"], document["added"], document["changed"]) == ("P", 2, True)
    assert document["rejected"] == [{"line": 4, "why": "the text is empty"}]
    assert document["mapping"]["labels"] == ["a"]
    assert told("import", posts, *OPTIONS)["changed"] is False


def test_columns_chosen_by_hand(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "p.csv", [["t", "x", "y"], ["some post", "1", "0"], ["another", "0", "0"]])
    document = told("import", path, "--text", "t", "--labels", "x", "--labels", "y")
    assert document["new_categories"] == ["x"]
    other = write_csv(tmp_path / "q.csv", [["text", "label"], ["a", "v/w"], ["b", "none"]])
    document = told("import", other, "--project", "Q", "--separator", "/")
    assert document["new_categories"] == ["v", "w"]


def test_answers_and_sets(posts: Path, tmp_path: Path) -> None:
    told("import", posts, *OPTIONS)
    path = write_jsonl(
        tmp_path / "a.jsonl", [{"id": "1", "labels": []}, {"id": "2", "verdict": "scam", "labels": []}]
    )
    document = told("import", path, "--answers", "--model", "m")
    assert (document["added"], document["models"]) == (2, ["m"])
    changed = told("import", path, "--answers", "--model", "m", "--labels", "verdict")
    assert changed["updated"] == 1
    path = write_csv(tmp_path / "s.csv", [["id", "text", "label"], ["a", "Hello", "yes"], ["b", "x", "no"]])
    document = told("import", path, "--evaluation-set", "outside", "--positive", "yes")
    assert (document["rows"], document["positive"], document["held_out"]) == (2, 1, 1)
    shown = overrule("import", path, "--evaluation-set", "outside", "--positive", "yes")
    assert "Nothing new" in shown.stderr


def test_what_goes_wrong_ends_with_one_and_wrong_usage_with_two(posts: Path, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.csv", "")
    result = overrule("import", empty)
    assert result.exit_code == 1
    assert isinstance(result.exception, InvalidInputError)
    assert isinstance(overrule("import", posts, *OPTIONS, "--labels", "gone").exception, InvalidInputError)
    assert isinstance(overrule("import", posts, "--answers", "--labels", "a").exception, NotFoundError)
    for wrong in (
        ("import",),
        ("import", posts, "--answers", "--evaluation-set", "s"),
        ("import", posts, "--positive", "x"),
        ("import", posts, "--nonsense"),
        ("policy", "import", empty, "--fate", "scam"),
    ):
        assert overrule(*wrong).exit_code == 2


def test_several_projects_need_a_name(posts: Path) -> None:
    told("import", posts, "--project", "P", *OPTIONS)
    told("import", posts, "--project", "Q", *OPTIONS)
    result = overrule("import", posts, *OPTIONS)
    assert isinstance(result.exception, InvalidInputError)
    assert result.exception.hint == "Projects: P, Q."


def test_a_policy_goes_out_and_comes_back_changed(
    posts: Path, tmp_path: Path, sqlite_database: Database
) -> None:
    told("import", posts, *OPTIONS)
    file = tmp_path / "policy.yaml"
    assert overrule("policy", "export", file).exit_code == 0
    assert overrule("policy", "export").stdout == file.read_text("utf-8")
    same = told("policy", "import", file)
    assert (same["version"], same["changes"]) == (1, [])
    write(file, "categories:\n- {code: fraud, name: Fraud, definition: tricks people.}\n")
    missing = overrule("policy", "import", file)
    assert isinstance(missing.exception, InvalidInputError)
    assert "scam=again" in missing.exception.hint
    document = told("policy", "import", file, "--fate", "scam=fraud", "--note", "wider")
    assert document["version"] == 2
    assert [(one["code"], one["kind"]) for one in document["changes"]] == [
        ("fraud", "added"),
        ("scam", "removed"),
    ]
    shown = told("policy", "show")
    assert [(one["code"], one["decided"]) for one in shown["categories"]] == [("fraud", 1)]
    assert "Fraud" in overrule("policy", "show").stdout
    write(file, "categories:\n- {code: other, name: Other}\n")
    assert overrule("policy", "import", file, "--fate", "fraud=again").exit_code == 0
    with sqlite_database.read() as session:
        newest = PolicyService(session).newest(ProjectService(session).only().id)
        assert (newest.number, newest.note) == (3, "")


def test_a_project_can_begin_with_a_policy(tmp_path: Path) -> None:
    file = write(tmp_path / "rules.yaml", "categories:\n- {code: scam, name: Scam}\n")
    result = overrule("policy", "import", file, "--project", "New", "--none-label", "fine")
    assert result.exit_code == 0
    assert "New: policy version 1" in result.stderr
    # Posts without a single label can now be imported.
    path = write_csv(tmp_path / "p.csv", [["id", "text"], ["1", "hello"]])
    assert told("import", path)["added"] == 1


def test_a_policy_file_that_cannot_be_read(posts: Path, tmp_path: Path) -> None:
    told("import", posts, *OPTIONS)
    for file in (tmp_path / "gone.yaml", tmp_path, write(tmp_path / "b.yaml", b"\xff\xfe\x00")):
        assert isinstance(overrule("policy", "import", file).exception, InvalidInputError)


@pytest.mark.parametrize(
    "command", [("import",), ("policy", "show"), ("policy", "export"), ("policy", "import")]
)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    assert f"Example: overrule {' '.join(command)}" in overrule(*command, "--help").stdout


def test_a_set_with_labels_of_its_own(posts: Path, tmp_path: Path) -> None:
    overrule("import", posts, *OPTIONS)
    rows = [["text", "label", "part"], ["a", "hateful", "x"], ["b", "fine", "y"], ["c", "hateful", "x"]]
    path = write_csv(tmp_path / "s.csv", rows)
    options = ("--evaluation-set", "checks", "--map", "scam=hateful", "--none-label", "fine")
    result = overrule("import", path, *options, "--group-by", "part", "--language", "de")
    said = " ".join(result.stderr.split())
    assert result.exit_code == 0
    assert "Language de Grouped by part (2 groups) Stands for scam hateful" in said
    again = overrule("import", path, *options, "--language", "fr")
    assert "what is known of the set was noted" in again.stderr
    document = told("import", path, *options)
    assert (document["label_map"], document["language"]) == ({"scam": "hateful"}, "fr")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--map", "scam=hateful"), "--map belongs to --evaluation-set"),
        (("--group-by", "b"), "--group-by belongs to --evaluation-set"),
        (("--evaluation-set", "s", "--map", "scam"), "should be category=label"),
        (("--evaluation-set", "s", "--map", "scam=a", "--map", "scam=b"), "is given two labels"),
    ],
)
def test_a_mapping_that_cannot_be_read(posts: Path, options: tuple[str, ...], says: str) -> None:
    overrule("import", posts, *OPTIONS)
    result = overrule("import", posts, *OPTIONS, *options)
    assert result.exit_code == 2
    assert says in result.stderr
