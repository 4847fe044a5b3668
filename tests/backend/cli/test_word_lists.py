"""`overrule wordlist`, from the command line."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import backend.cli.word_lists  # noqa: F401
from backend.cli import app
from backend.db.engine import Database
from backend.errors import InvalidInputError
from tests.backend.build import add_project


@pytest.fixture(autouse=True)
def _project(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        add_project(session, name="posts", codes=("hate", "scam"))


def overrule(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["wordlist", *(str(argument) for argument in arguments)])


def test_a_list_goes_in_and_is_shown(tmp_path: Path) -> None:
    assert "no word list yet" in overrule("show").stderr
    assert json.loads(overrule("show", "--json").stdout) is None
    file = tmp_path / "[bold]blocked.csv"
    file.write_text("word,category\nclown,hate\nClown,hate\n,\nidiot,\n", "utf-8")
    told = overrule("import", file, "-p", "posts").stderr
    assert "Version 1 of your word list: 2 words." in told
    for line in ("hate: 1", "any violation: 1", "Lines without a word: 1", "Said twice: 1"):
        assert line in told
    shown = overrule("show").stdout
    assert "hate" in shown and "any violation" in shown and "Version 1" in shown
    document = json.loads(overrule("show", "--json").stdout)
    assert document["entries"] == {"clown": ["hate"], "idiot": []}
    assert "Nothing new" in overrule("import", file).stderr


def test_what_the_words_stand_for_can_be_said(tmp_path: Path) -> None:
    file = tmp_path / "blocked.txt"
    file.write_text("clown\nfree money\n", "utf-8")
    report = json.loads(overrule("import", file, "--category", "scam", "--json").stdout)
    assert (report["number"], report["by_category"], report["any_violation"]) == (1, {"scam": 2}, 0)
    refused = overrule("import", file, "--category", "spam")
    assert isinstance(refused.exception, InvalidInputError)
    assert "spam" in refused.exception.message
