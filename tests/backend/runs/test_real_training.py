"""The real trainer on a tiny model, through the command line, with nobody else there."""

import filecmp
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from backend.db.engine import Database
from backend.db.models import Evaluation, Item, PolicyVersion
from backend.db.models.content import Split
from backend.db.models.jobs import JobState
from backend.jobs.service import JobService
from backend.runs.service import RunService
from tests.backend.evaluation.build import decide
from tests.backend.runs.build import add_decided_project, add_version
from tests.tiny_model import make_tiny_model
from training.adapter import Card

pytestmark = pytest.mark.slow


@pytest.fixture
def project_id(sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("OVERRULE_BASE_MODEL", str(make_tiny_model(tmp_path / "tiny")))
    with sqlite_database.write() as session:
        project, _ = add_decided_project(session)
        add_version(session, project)
        return project.id


def overrule(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backend", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def _take_away(adapter: Path, into: Path) -> None:
    """The command writes the adapter as one zip file with all it needs, and prints its model card."""
    path = into / "taken" / "run-1.zip"
    for _ in range(2):  # The second replaces the first.
        told = overrule("runs", "export", "run 1", "--out", str(path), "--json")
        assert told.returncode == 0, told.stderr
    assert [each.name for each in path.parent.iterdir()] == ["run-1.zip"]
    with zipfile.ZipFile(path) as archive:
        names = {Path(each.filename).name for each in archive.infolist()}
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}
        archive.extractall(into)
    assert names == {"adapter_model.safetensors", "adapter_config.json", "overrule.json", "README.md"}
    assert json.loads(told.stdout)["bytes"] == path.stat().st_size
    assert filecmp.cmpfiles(adapter, into / "run-1", names, shallow=False)[0] == list(names)
    Card.read(into / "run-1")
    assert overrule("runs", "card", "1").stdout == (adapter / "README.md").read_text("utf-8") + "\n"


def test_train_here_then_score_again_what_was_trained(
    sqlite_database: Database, project_id: int, tmp_path: Path
) -> None:
    done = overrule("train", "--set", "epochs=1", "--set", "rank=2", "--seed", "5", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["run"], document["state"], document["seed"]) == (1, "succeeded", 5)
    assert 0 <= document["headline"]["macro_auprc"] <= 1
    with sqlite_database.read() as session:
        run = RunService(session).get(project_id, 1)
        assert run.result is not None
        assert run.result["hashes"]["prompt"] == run.prompt_hash
        assert (RunService(session).adapter(run) / "adapter_model.safetensors").is_file()
        before = session.query(Evaluation).count()
        figures = {one.model_kind: one.metrics for one in session.query(Evaluation)}
        card = RunService(session).card(run)
        judged = session.query(Evaluation).filter(Evaluation.run_id == run.id).one()
        assert judged.thresholds.items() >= card.thresholds.items()
    with sqlite_database.write() as now:
        # Since then people decided otherwise, but what the student was trained with decides.
        policy = now.get_one(PolicyVersion, run.policy_version_id)
        for item in now.query(Item).filter_by(project_id=project_id, split=Split.VALIDATION):
            decide(now, policy, item, ("scam",) if item.id % 2 else ())
    _take_away(RunService(session).adapter(run), tmp_path)
    scored = overrule("evaluate", "--run", "1", "--base", "--json")
    assert scored.returncode == 0, scored.stderr
    with sqlite_database.read() as session:
        # The baselines taught this version stand already, and so does the teacher.
        assert session.query(Evaluation).count() == before + 2
        again = session.query(Evaluation).filter(Evaluation.run_id == run.id).order_by(Evaluation.id.desc())
        newest = again.first()
        assert newest is not None
        # Scored anew from the adapter's files, the student says what it said when it was trained.
        assert newest.metrics["macro"]["auprc"] == figures[newest.model_kind]["macro"]["auprc"]
        assert card.thresholds.keys() == {"hate", "scam"}
        assert newest.thresholds.items() >= card.thresholds.items()
        assert newest.metrics["temperature"] == card.temperature
        at_training = (one["f1"] for one in figures[newest.model_kind]["categories"])
        assert [one["f1"] for one in newest.metrics["categories"]] == list(at_training)


def test_a_preference_step_on_the_same_posts(sqlite_database: Database, project_id: int) -> None:
    with sqlite_database.write() as session:
        corrected, _ = add_decided_project(session, "Corrected", wrong=4)
        add_version(session, corrected)
    step = ("--preference", "--set", "preference.epochs=2", "--set", "epochs=1", "--set", "rank=2")
    done = overrule("train", "--project", "Corrected", *step, "--json")
    assert done.returncode == 0, done.stderr
    shown = overrule("runs", "show", "1", "--project", "Corrected", "--json")
    result = json.loads(shown.stdout)["result"]
    assert result["preference"]["step"] == result["preference"]["steps"] == 2
    assert result["rows"]["pairs"]["used"] == 4
    assert {"before_preference", "preference"} < set(result["metrics"])
    assert result["preference"]["gains"][0]["sentence"].startswith("With the preference step macro-F1 is ")


def test_an_unknown_base_model_fails_with_the_trainers_reason(
    sqlite_database: Database, project_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = overrule("train", "--base-model", "nobody/no-such-model")
    assert done.returncode == 1
    assert "nobody/no-such-model" in done.stderr
    with sqlite_database.read() as session:
        [job] = JobService(session).list()
        assert job.state is JobState.FAILED
        assert "cannot be reached" in (job.error or "") or "switched off" in (job.error or "")


def test_ctrl_c_saves_and_resume_ends_as_if_nothing_had_happened(
    sqlite_database: Database, project_id: int
) -> None:
    command = [sys.executable, "-m", "backend", "train", "--set", "epochs=100", "--set", "validations=50"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    folder = None
    while folder is None or not any(folder.glob("checkpoints/step-*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
        with sqlite_database.read() as session:
            jobs = JobService(session).list()
            folder = Path(jobs[0].folder or "") if jobs else None
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "overrule jobs resume 1" in said or "Resume" in said
    with sqlite_database.read() as session:
        assert JobService(session).get(1).state is JobState.STOPPED
    # A resumed job is for the worker; here one is at work for as long as the job is followed.
    assert overrule("jobs", "resume", "1").returncode == 0
    worker = subprocess.Popen([sys.executable, "-m", "backend", "worker"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        state = JobState.QUEUED
        while state is not JobState.SUCCEEDED and time.monotonic() < deadline:
            time.sleep(0.3)
            with sqlite_database.read() as session:
                state = JobService(session).get(1).state
    finally:
        worker.terminate()
        assert worker.wait(60) == 0
    assert state is JobState.SUCCEEDED
    result = json.loads((folder / "result.json").read_text())
    assert result["training"]["resumed_from"] > 0
