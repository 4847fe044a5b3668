import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import backend.cli.study  # noqa: F401
from backend.cli import app
from backend.db.engine import Database
from backend.db.models import DatasetVersion, Event, Job
from backend.errors import InvalidInputError, NotFoundError
from tests.backend.runs.build import add_decided_project
from tests.tiny_model import make_tiny_model


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["study", *arguments], env={"COLUMNS": "160"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def one_project(sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("OVERRULE_BASE_MODEL", str(make_tiny_model(tmp_path / "tiny")))
    with sqlite_database.write() as session:
        add_decided_project(session, wrong=4)
    return sqlite_database


def test_a_dry_run_lists_the_students_and_leaves_nothing(one_project: Database) -> None:
    asked = ("--dry-run", "--handlings", "keep,drop", "--answers", "direct,both", "--seeds", "2")
    document = json.loads(run(*asked, "--leave-out", "hate", "--sizes", "5,99", "--json").stdout)
    sizes = {
        (each["cell"]["handling"], each["cell"]["leave_out"], each["training_rows"])
        for each in document["cells"]
    }
    whole = {("keep", None, 12), ("keep", None, 8), ("keep", None, 5), ("drop", None, 8), ("drop", None, 5)}
    assert sizes == whole | {("keep", "hate", 8), ("drop", "hate", 5)}
    # Matched to the smaller handling, drop is the version that it is: they share a student.
    assert len(document["cells"]) == 32
    assert document["to_train"] == 28
    assert all(each["run"] is None and each["estimate"]["examples"] > 0 for each in document["cells"])
    assert len(document["notes"]) == 2
    cautions = {
        each["cell"]["leave_out"]: {one["message"] for one in each["estimate"]["cautions"]}
        for each in document["cells"]
    }
    assert not any("No row to learn is" in message for message in cautions["hate"]), "that is what was asked"
    shown = run(*asked)
    assert "keep, both, matched, seed 1" in shown.stdout
    with one_project.read() as session:
        for kind in (DatasetVersion, Job, Event):
            assert session.query(kind).count() == 0, "nothing is kept"


def test_a_report_without_students_says_what_is_missing(one_project: Database, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    asked = ("--handlings", "keep", "--answers", "direct", "--seeds", "1", "--out", str(folder))
    document = json.loads(run(*asked, "--report-only", "--json").stdout)
    assert document["missing"] == ["keep, direct, seed 0"]
    assert "Missing: keep, direct, seed 0." in (folder / "study.md").read_text()
    assert (folder / "study.html").is_file() and (folder / "study.csv").is_file()


def test_what_cannot_be_studied_says_why(one_project: Database) -> None:
    for wrong, match in (
        (("--handlings", "kept"), "no handling 'kept'"),
        (("--answers", "plain"), "no kind of answers 'plain'"),
        (("--sizes", "many"), "no number of rows"),
        (("--leave-out", "spam"), "no category 'spam'"),
        (("--set", "colour=red"), "colour"),
    ):
        with pytest.raises(InvalidInputError, match=match):
            run("--dry-run", *wrong)
    with pytest.raises(NotFoundError, match="hatecheck"):
        run("--sets", "hatecheck")
    assert run("--seeds", "0").exit_code == 2
