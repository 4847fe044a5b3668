"""The start command for real: app, worker, and what becomes of them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.db.engine import Database
from backend.db.migrate import migrate
from backend.jobs.service import JobService, WorkerState
from backend.projects.service import ProjectService
from tests.tiny_model import make_tiny_model

SECONDS = 120


def overrule(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backend", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(wanted: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = wanted()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come about")


class Start:
    """A running `overrule run`."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "backend", "run", "--json", "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            text += line
        self.said = json.loads(text)
        self.children = psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals) -> str:
        self.process.send_signal(number)
        return self.process.communicate(timeout=SECONDS)[1]

    def gone(self) -> bool:
        return not any(child.is_running() and child.status() != "zombie" for child in self.children)


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Start]]:
    monkeypatch.setenv("OVERRULE_BASE_MODEL", str(make_tiny_model(tmp_path / "tiny")))
    found: list[Start] = []
    yield found
    for start in found:
        for process in (start.process, *start.children):
            if psutil.pid_exists(process.pid):
                process.kill()
        start.process.communicate()


def worker_of(home: Path) -> WorkerState:
    database = Database(f"sqlite:///{home / 'overrule.db'}")
    with database.read() as session:
        state = JobService(session).worker()
    database.dispose()
    return state


@pytest.mark.slow
def test_from_an_empty_home_to_the_pages_and_back(home: Path, starts: list[Start]) -> None:
    port = free_port()
    first = Start(port)
    starts.append(first)
    assert first.said == {"address": f"http://127.0.0.1:{port}", "pid": first.process.pid, "home": str(home)}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()

    second = overrule("run", "--port", str(free_port()))
    assert second.returncode == 1
    assert f"http://127.0.0.1:{port}" in second.stderr
    assert str(first.process.pid) in second.stderr

    before = until(lambda: (state := worker_of(home)).alive and state).pid
    os.kill(before, signal.SIGKILL)
    after = until(lambda: (state := worker_of(home)).alive and state.pid != before and state).pid
    status = json.loads(overrule("status", "--json").stdout)
    assert status["worker"]["pid"] == after
    assert [project["name"] for project in status["projects"]] == ["Sample"]

    # Killed without a chance to end them, it leaves neither app nor worker nor a stale lock behind.
    first.children = psutil.Process(first.process.pid).children(recursive=True)
    assert len(first.children) >= 2
    first.end(signal.SIGKILL)
    until(first.gone)
    again = Start(port)
    starts.append(again)
    said = again.end(signal.SIGINT)
    assert again.process.returncode == 0, said
    assert "sample project is loaded" not in said
    assert "Overrule has stopped." in said
    assert again.gone()


def test_a_port_that_is_taken(home: Path, starts: list[Start]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = overrule("run", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} cannot be used" in done.stderr
    assert not (home / "overrule.db").exists()


def test_migrate_and_status_on_a_fresh_home(home: Path) -> None:
    empty = overrule("status", "--json")
    assert json.loads(empty.stdout)["revision"] is None
    made = json.loads(overrule("migrate", "--json").stdout)
    assert made["before"] is None
    assert json.loads(overrule("status", "--json").stdout)["revision"] == made["after"]
    assert json.loads(overrule("migrate", "--json").stdout)["before"] == made["after"]


def test_any_command_makes_an_empty_database_but_upgrades_none(home: Path) -> None:
    assert overrule("jobs", "list", "--json").stdout.strip() == "[]"
    database = Database(f"sqlite:///{home / 'overrule.db'}")
    migrate(database)
    with database.write() as session:
        assert ProjectService(session).list() == []
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = 'older'")
    database.dispose()
    refused = overrule("jobs", "list")
    assert refused.returncode == 1
    assert "overrule migrate" in refused.stderr


def test_pulling_says_where_the_model_is_or_why_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = make_tiny_model(tmp_path / "tiny")
    assert json.loads(overrule("models", "pull", str(tiny), "--json").stdout)["folder"] == str(tiny)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    missing = overrule("models", "pull", "nobody/no-such-model")
    assert missing.returncode == 1
    assert "nobody/no-such-model is not in the cache" in missing.stderr
    assert "Traceback" not in missing.stderr
