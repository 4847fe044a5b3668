"""A study with the real trainer on a tiny model: killed on its way, asked for again, reported."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from backend.db.engine import Database
from backend.db.models import Job, Run
from backend.db.models.jobs import JobState
from tests.backend.runs.build import add_decided_project
from tests.tiny_model import make_tiny_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def states(database: Database) -> list[JobState]:
    with database.read() as session:
        return [job.state for job in session.query(Job).order_by(Job.id)]


def test_a_study_that_was_killed_goes_on_and_trains_nothing_twice(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERRULE_BASE_MODEL", str(make_tiny_model(tmp_path / "tiny")))
    with sqlite_database.write() as session:
        add_decided_project(session, wrong=4)
    command = [sys.executable, "-m", "backend", "study", "--handlings", "recheck-drop", "--seeds", "1"]
    command += ["--answers", "both", "--simulate-recheck", "1", "--leave-out", "hate"]
    command += ["--set", "epochs=1", "--set", "rank=2", "--out", str(tmp_path / "report"), "--json"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while JobState.RUNNING not in states(sqlite_database):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(60)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["missing"] == []
    jobs = states(sqlite_database)
    assert set(jobs) == {JobState.SUCCEEDED}
    with sqlite_database.read() as session:
        assert session.query(Run).count() == document["cells"] == 2
    again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert again.returncode == 0, again.stderr
    assert states(sqlite_database) == jobs
    assert json.loads(again.stdout)["rows"] == document["rows"]
    rows = pd.read_csv(tmp_path / "report" / "study.csv")
    assert len(rows) == 4
    assert set(rows["training_rows"]) == {12, 8}
    assert rows["macro_f1"].between(0, 1).all()
    assert rows.loc[rows["inference"] == "direct", "learned_macro_f1"].between(0, 1).all()
    assert rows["simulated"].eq(1).all()
    text = (tmp_path / "report" / "study.md").read_text()
    assert "recheck-drop (simulated)" in text and "Hate on test, never shown in training" in text
