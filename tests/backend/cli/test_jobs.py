import json

import pytest
from typer.testing import CliRunner, Result

import backend.cli.jobs  # noqa: F401
from backend.cli import app
from backend.cli.jobs import _new
from backend.db.engine import Database
from backend.db.models.jobs import JobKind, JobState
from backend.errors import ConflictError, NotFoundError
from tests.backend.jobs.test_service import add_job


def jobs(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["jobs", *arguments], env={"COLUMNS": "160"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_job_from_waiting_to_stopped_and_back(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        waiting = add_job(session, JobKind.TRAIN)
        failed = add_job(session, state=JobState.FAILED)
        failed.error = "The disk is full."
    listed = jobs("list")
    assert "queued, place 1" in listed.stdout
    assert "No worker is alive" in listed.stderr
    [only] = json.loads(jobs("list", "--kind", "train", "--json").stdout)
    assert (only["id"], only["queue_place"]) == (waiting.id, 1)
    assert json.loads(jobs("stop", str(waiting.id), "--json").stdout)["state"] == "stopped"
    assert "queued" in jobs("resume", str(waiting.id)).stderr
    assert "The disk is full." in jobs("show", str(failed.id)).stdout
    with pytest.raises(ConflictError, match="failed already"):
        jobs("stop", str(failed.id))
    with pytest.raises(NotFoundError, match="no job 77"):
        jobs("log", "77")
    assert jobs("show", "x").exit_code == 2


def test_a_log_that_is_followed_says_each_line_once() -> None:
    assert _new([], ["a", "b"]) == ["a", "b"]
    assert _new(["a", "b"], ["a", "b"]) == []
    assert _new(["a", "b", "c"], ["b", "c", "d", "e"]) == ["d", "e"]
    assert _new(["a"], ["x", "y"]) == ["x", "y"]
