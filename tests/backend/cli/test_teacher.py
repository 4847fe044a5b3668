"""`overrule teach`, from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

import backend.cli.teacher  # noqa: F401
from backend.cli import app
from backend.db.engine import Database
from backend.errors import OverruleError
from backend.jobs.service import JobService
from backend.settings import get_settings
from tests.backend.teacher.posts import add_posts
from tests.backend.teacher.server import TeacherServer, after, fails, judges, says, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TeacherServer]:
    with serving() as server:
        monkeypatch.setenv("OVERRULE_TEACHER_RETRIES", "0")
        get_settings.cache_clear()
        yield server


def teach(server: TeacherServer, *options: str) -> Result:
    return CliRunner().invoke(app, ["teach", "--url", server.url, "--model", "m", *options])


def jobs(database: Database) -> list[dict[str, Any]]:
    with database.read() as session:
        return [
            {"state": job.state.value, "error": job.error, "result": job.result}
            for job in JobService(session).list()
        ]


def test_asks_and_says_how_it_went(sqlite_database: Database, server: TeacherServer) -> None:
    said = {"scam: one": judges("scam"), "none: two": judges("scam"), "? three": says("hm")}
    server.answer = lambda asked: said[asked.post] if asked.round == 0 else judges()
    add_posts(sqlite_database, *said)
    result = teach(server)
    assert result.exit_code == 0, result.output
    for words in (
        "3 posts for m at",
        "answered          2",
        "cannot be read    1",
        "Rechecks: 1, 1 of them mended",
    ):
        assert words in result.stderr
    assert result.stdout == ""
    (job,) = jobs(sqlite_database)
    assert job["state"] == "succeeded"
    assert job["result"]["answered"] == 2
    again = teach(server)
    assert again.exit_code == 0
    assert "nothing to ask" in again.stderr
    assert len(server.asked) == 4


def test_json_is_one_document(sqlite_database: Database, server: TeacherServer) -> None:
    server.answer = lambda asked: fails(500, "down") if asked.post == "one" else judges()
    add_posts(sqlite_database, "one", "two", "three")
    document = json.loads(teach(server, "--json", "--limit", "2").stdout)
    assert document["wanted"] == 2
    assert document["failed"] == {"server-error": 1}
    assert "down" in document["said"]["server-error"]
    plan = json.loads(teach(server, "--json", "--dry-run").stdout)
    assert (plan["wanted"], plan["unanswered"]) == (2, 2)
    teach(server)
    server.answer = lambda asked: judges()
    teach(server)
    assert json.loads(teach(server, "--json").stdout)["wanted"] == 0


def test_no_answer_at_all_is_a_failure(sqlite_database: Database, server: TeacherServer) -> None:
    server.answer = lambda asked: fails(500, "down")
    add_posts(sqlite_database, "one")
    result = teach(server)
    assert result.exit_code == 1
    assert "without an answer 1 (server-error 1)" in result.stderr


def test_a_wrong_key_fails_with_what_to_do(sqlite_database: Database, server: TeacherServer) -> None:
    server.answer = lambda asked: fails(401, "bad key")
    add_posts(sqlite_database, "one", "two")
    result = teach(server, "--concurrency", "1")
    assert isinstance(result.exception, OverruleError)
    assert "refuses the key" in result.exception.message
    assert "not asked         2" in result.stderr
    (job,) = jobs(sqlite_database)
    assert (job["state"], job["result"]["left"]) == ("failed", 2)
    assert "refuses the key" in job["error"]


def test_background_leaves_it_to_the_worker(sqlite_database: Database, server: TeacherServer) -> None:
    add_posts(sqlite_database, "one")
    result = teach(server, "--background", "--json")
    assert json.loads(result.stdout)["state"] == "queued"
    assert server.asked == []


@pytest.mark.parametrize(
    "options", [["--limit", "0"], ["--concurrency", "0"], ["--timeout", "0"], ["--answer-tokens", "1"]]
)
def test_wrong_usage_is_refused(sqlite_database: Database, server: TeacherServer, options: list[str]) -> None:
    assert teach(server, *options).exit_code == 2


def test_ctrl_c_stops_and_the_same_command_goes_on(sqlite_database: Database, server: TeacherServer) -> None:
    server.answer = lambda asked: after(0 if len(server.asked) <= 10 else 30, judges())
    add_posts(sqlite_database, *(f"post {number}" for number in range(20)))
    command = [
        sys.executable,
        "-c",
        _MAIN,
        "teach",
        "--url",
        server.url,
        "--model",
        "m",
        "--concurrency",
        "2",
    ]
    process = subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.PIPE, text=True)
    while len(server.asked) < 12 and process.poll() is None:
        time.sleep(0.01)
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=20)
    assert time.monotonic() - pressed < 10
    assert process.returncode == 1
    assert "answered          10" in messages
    assert "The same command goes on" in messages
    assert "Traceback" not in messages
    assert jobs(sqlite_database)[0]["state"] == "stopped"
    server.answer = lambda asked: judges()
    result = teach(server)
    assert "answered          10" in result.stderr


def test_a_stop_asked_for_elsewhere_is_honoured(sqlite_database: Database, server: TeacherServer) -> None:
    def answer(asked: object) -> Any:
        if len(server.asked) == 5:
            with sqlite_database.write() as session:
                service = JobService(session)
                service.request_stop(service.list()[0].id)
        return after(0 if len(server.asked) < 5 else 30, judges())

    server.answer = answer
    add_posts(sqlite_database, *(f"post {number}" for number in range(20)))
    result = teach(server, "--concurrency", "1")
    assert result.exit_code == 1
    assert "The same command goes on" in result.stderr
    assert jobs(sqlite_database)[0]["state"] == "stopped"


# Only this room's commands, so that the test does not depend on the others.
_MAIN = """
import backend.cli.teacher
from backend.cli import app
app()
"""
