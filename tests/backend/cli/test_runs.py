import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import backend.cli.evaluation
import backend.cli.runs  # noqa: F401
from backend.cli import app
from backend.db.engine import Database
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.runs.service import RunService
from tests.backend.runs.build import add_decided_project, add_version
from tests.backend.runs.test_service import finish, start
from tests.tiny_model import make_tiny_model


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def one_run(sqlite_database: Database) -> Database:
    with sqlite_database.write() as session:
        project, _ = add_decided_project(session)
        finish(session, start(session, project))
    return sqlite_database


def test_runs_are_listed_shown_and_promoted(one_run: Database) -> None:
    assert "version 1  review" in run("runs", "list").stdout
    [document] = json.loads(run("runs", "list", "--json").stdout)
    assert (document["run"], document["champion"], document["state"]) == (1, False, "succeeded")
    shown = json.loads(run("runs", "show", "run 1", "--json").stdout)
    assert shown["adapter"].endswith("adapter")
    read = run("runs", "show", "1").stdout
    assert re.search(r"\n  macro F1 +\d?\.\d\d \(\d?\.\d\d to \d?\.\d\d\)\n", read)
    assert re.search(r"\nconfig\n  answers +direct\n  epochs +4\n  learning rate +0\.001\n", read)
    assert re.search(r"\nchampion +no\n", read)
    assert not set("{}[]") & set(read)
    assert json.loads(run("runs", "promote", "1", "--json").stdout)["champion"] == 1
    assert "1 champion" in run("runs", "list").stdout
    assert "base model is champion" in run("runs", "promote", "base").stderr
    with pytest.raises(NotFoundError, match="no run '2'"):
        run("runs", "promote", "2")


def test_a_student_that_is_not_there_cannot_be_exported(one_run: Database, tmp_path: Path) -> None:
    # The stand-in for the trainer left no adapter.
    with pytest.raises(NotFoundError, match="no longer in"):
        run("runs", "export", "1", "--out", str(tmp_path / "run-1.zip"))
    run("train", "--detach")
    with pytest.raises(ConflictError, match="Run 2 has not finished"):
        run("runs", "card", "2")
    assert not list(tmp_path.glob("*.zip"))


def test_a_run_that_is_left_to_the_worker(one_run: Database) -> None:
    started = json.loads(run("train", "--detach", "--preset", "standard", "--set", "rank=4", "--json").stdout)
    assert (started["run"], started["state"], started["config"]["rank"]) == (2, "queued", 4)
    assert started["preset"] == "custom"
    again = json.loads(run("retrain", "--detach", "--json").stdout)
    assert (again["run"], again["preset"]) == (3, "standard")


def test_a_preference_step_is_asked_for_and_judged_in_words(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        project, _ = add_decided_project(session, wrong=4)
        add_version(session, project)
    started = run("train", "--detach", "--preference", "--set", "preference.beta=0.2", "--json")
    config = json.loads(started.stdout)["config"]
    assert (config["preference"]["beta"], config["preference"]["epochs"]) == (0.2, 1)
    with sqlite_database.write() as session:
        finish(session, RunService(session).get(project.id, 1))
    said = "test: With the preference step macro-F1 is "
    assert said in run("runs", "show", "1").stdout
    [gain] = json.loads(run("runs", "show", "1", "--json").stdout)["result"]["preference"]["gains"]
    assert gain["sentence"] in run("runs", "show", "1").stdout
    assert f"Run 1: {gain['sentence']}" in " ".join(run("evaluate").stderr.split())


def test_a_dry_run_says_what_it_would_take_and_starts_nothing(
    one_run: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    asked = ("train", "--dry-run", "--base-model", str(make_tiny_model(tmp_path / "tiny")))
    before = json.loads(run(*asked, "--json").stdout)
    assert (before["examples"], before["steps"], before["seconds"]) == (12, 8, None)
    assert before["peer_tokens"] > before["tokens"] > before["learned_tokens"] > 0
    assert [caution["fatal"] for caution in before["cautions"]] == [False]
    assert before["config"]["epochs"] == 4
    said = run(*asked).stdout
    assert "not measured on this computer yet" in said
    assert "Caution: 8 steps are too few to learn from." in said
    assert "Cannot work: LoRA rank 64" in run(*asked, "--set", "rank=64").stdout
    after = json.loads(run(*asked, "--measure", "--json").stdout)
    assert after["pace"] == "a measurement"
    assert after["seconds"] == pytest.approx(sum(after["phases"].values()))
    assert len(json.loads(run("runs", "list", "--json").stdout)) == 1


def test_what_cannot_be_trained_says_why(one_run: Database) -> None:
    with pytest.raises(InvalidInputError, match="no preset"):
        run("train", "--preset", "fast")
    with pytest.raises(NotFoundError, match="version"):
        run("train", "--dataset", "9")
    with pytest.raises(NotFoundError, match="hatecheck"):
        run("train", "--sets", "hatecheck")
    assert run("train", "--set", "rank").exit_code == 2


def test_without_a_version_there_is_a_way_to_one(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        project, _ = add_decided_project(session)
    with pytest.raises(InvalidInputError, match="dataset version yet"):
        run("train")
    with sqlite_database.write() as session:
        add_version(session, project)
    assert run("train", "--detach").exit_code == 0
