"""A real worker process and trainer processes that are killed at bad moments."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend.curation.service import CurationService
from backend.db.engine import Database
from backend.db.models import Evaluation, Job, Run
from backend.db.models.evaluation import ModelKind
from backend.db.models.jobs import JobKind, JobState
from backend.evaluation.baselines.names import Baseline
from backend.jobs.payloads import ExportPayload
from backend.jobs.queue import JobQueue
from backend.jobs.service import JobService
from backend.projects.service import ProjectService
from backend.runs.service import RunService
from backend.settings import Settings, get_settings
from backend.teacher.service import TeacherService
from tests.backend.jobs.stand_in import HASH
from tests.backend.runs.build import add_decided_project, add_version
from tests.backend.teacher.posts import add_posts
from tests.backend.teacher.server import after, judges, serving

SECONDS = 90
# Nobody gave a word list.
BASELINES = [baseline for baseline in Baseline if baseline is not Baseline.OWN_WORDS]
ALL_KINDS = [ModelKind.BASE, *[ModelKind.BASELINE] * len(BASELINES), ModelKind.RUN, ModelKind.TEACHER]


@pytest.fixture
def started(sqlite_database: Database) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Worker processes; those and their trainers do not outlive the test."""
    workers: list[subprocess.Popen[bytes]] = []
    yield workers
    for worker in workers:
        worker.kill()
        worker.wait()
    with sqlite_database.read() as session:
        for job in JobService(session).list():
            if job.pid is not None and job.state in {JobState.RUNNING, JobState.STOPPING}:
                end(job.pid)


def start_worker(started: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    log = get_settings().home / f"worker-{len(started)}.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tests.backend.jobs.stand_in_worker"]
        started.append(subprocess.Popen(command, stdout=output, stderr=output))
    return started[-1]


def kill(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()


def end(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def add_run(database: Database) -> Run:
    """A run in the project, which is made for the first."""
    with database.write() as session:
        project = ProjectService(session).find("Posts") or add_decided_project(session)[0]
        versions = CurationService(session).versions(project.id)
        version = versions[0] if versions else add_version(session, project)
        return RunService(session).start(project.id, version_id=version.id, preset="quick", person="ada")


def read(database: Database, job_id: int) -> Job:
    with database.read() as session:
        return JobService(session).get(job_id)


def wait_for(database: Database, job_id: int, wanted: Callable[[Job], bool]) -> Job:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        job = read(database, job_id)
        if wanted(job):
            return job
        time.sleep(0.05)
    logs = "".join(path.read_text() for path in get_settings().home.glob("worker-*.log"))
    raise AssertionError(f"job {job_id} is {job.state}, {job.error}\n{logs}")


def has(*states: JobState) -> Callable[[Job], bool]:
    return lambda job: job.state in states


def with_checkpoint(job: Job) -> bool:
    return job.state is JobState.RUNNING and any(Path(job.folder or "").glob("checkpoints/step-*"))


def evaluations(database: Database) -> list[ModelKind]:
    with database.read() as session:
        return sorted(session.scalars(session.query(Evaluation.model_kind).statement).all())


@contextmanager
def steps(count: int) -> Iterator[None]:
    """How long a stand-in takes, in tenths of a second."""
    os.environ["STAND_IN_STEPS"] = str(count)
    try:
        yield
    finally:
        del os.environ["STAND_IN_STEPS"]


def test_a_job_that_the_queue_never_heard_of_is_carried_out(
    sqlite_database: Database, started: list[subprocess.Popen[bytes]]
) -> None:
    run = add_run(sqlite_database)
    for path in get_settings().home.glob("queue.db*"):
        path.unlink()
    start_worker(started)
    job = wait_for(sqlite_database, run.job_id, has(JobState.SUCCEEDED))
    assert (job.progress, job.pid, job.error) == (1.0, None, None)
    assert evaluations(sqlite_database) == ALL_KINDS
    with sqlite_database.read() as session:
        assert RunService(session).of_job(job.id).prompt_hash == HASH
        assert JobService(session).worker().alive


def test_an_export_does_not_wait_behind_training_but_training_does(
    sqlite_database: Database, started: list[subprocess.Popen[bytes]]
) -> None:
    with steps(1000):
        first = add_run(sqlite_database)
        second = add_run(sqlite_database)
        with sqlite_database.write() as session:
            export = JobService(session).create(
                first.project_id, JobKind.EXPORT, title="e", payload=ExportPayload(format="csv"), person="ada"
            )
        start_worker(started)
        done = wait_for(sqlite_database, export.id, has(JobState.SUCCEEDED))
        assert done.result is not None
        assert Path(done.result["file"]).read_text("utf-8-sig").startswith("id,text")
        wait_for(sqlite_database, first.job_id, has(JobState.RUNNING))
        assert read(sqlite_database, second.job_id).state is JobState.QUEUED
        with sqlite_database.write() as session:
            JobService(session).request_stop(first.job_id)
        wait_for(sqlite_database, first.job_id, has(JobState.STOPPED))
        wait_for(sqlite_database, second.job_id, has(JobState.RUNNING))


def test_a_killed_worker_costs_nothing_the_next_one_takes_the_trainer_up(
    sqlite_database: Database, started: list[subprocess.Popen[bytes]]
) -> None:
    with steps(60):
        run = add_run(sqlite_database)
        first = start_worker(started)
        before = wait_for(sqlite_database, run.job_id, with_checkpoint)
        kill(first)
        with sqlite_database.read() as session:
            assert JobService(session).worker().alive is False
        start_worker(started)
        job = wait_for(sqlite_database, run.job_id, has(JobState.SUCCEEDED))
    assert job.interruptions == 0
    result = (Path(job.folder or "") / "result.json").read_text()
    assert '"resumed_from": 0' in result, "the trainer that the first worker started went on"
    assert before.pid is not None
    assert evaluations(sqlite_database) == ALL_KINDS


def test_what_ended_while_no_worker_was_there_is_collected_once(
    sqlite_database: Database, started: list[subprocess.Popen[bytes]]
) -> None:
    with steps(15):
        run = add_run(sqlite_database)
        first = start_worker(started)
        job = wait_for(sqlite_database, run.job_id, with_checkpoint)
        kill(first)
    result = Path(job.folder or "") / "result.json"
    deadline = time.monotonic() + SECONDS
    while not result.is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert read(sqlite_database, run.job_id).state is JobState.RUNNING
    start_worker(started)
    wait_for(sqlite_database, run.job_id, has(JobState.SUCCEEDED))
    assert evaluations(sqlite_database) == ALL_KINDS


def test_a_killed_trainer_goes_on_from_its_checkpoint_once_then_waits_for_a_person(
    sqlite_database: Database, started: list[subprocess.Popen[bytes]]
) -> None:
    with steps(1000):
        run = add_run(sqlite_database)
        worker = start_worker(started)
        first = wait_for(sqlite_database, run.job_id, with_checkpoint)
        end(first.pid or 0)
        second = wait_for(
            sqlite_database, run.job_id, lambda job: job.interruptions == 1 and job.state is JobState.RUNNING
        )
        assert second.pid != first.pid
        end(second.pid or 0)
        cut_off = wait_for(sqlite_database, run.job_id, has(JobState.INTERRUPTED))
        assert "died without a word" in (cut_off.error or "")
        assert worker.poll() is None


def test_stop_keeps_a_checkpoint_and_resume_goes_on_from_it(
    sqlite_database: Database, started: list[subprocess.Popen[bytes]]
) -> None:
    with steps(40):
        run = add_run(sqlite_database)
        start_worker(started)
        wait_for(sqlite_database, run.job_id, with_checkpoint)
        with sqlite_database.write() as session:
            JobService(session).request_stop(run.job_id)
        stopped = wait_for(sqlite_database, run.job_id, has(JobState.STOPPED))
        assert stopped.hint == "Resume goes on from the checkpoint."
        with sqlite_database.write() as session:
            JobService(session).resume(run.job_id, "ada")
        done = wait_for(sqlite_database, run.job_id, has(JobState.SUCCEEDED))
    assert '"resumed_from": 0' not in (Path(done.folder or "") / "result.json").read_text()
    assert done.hint is None


def test_what_goes_wrong_fails_one_job_with_words_and_not_the_worker(
    sqlite_database: Database, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    run = add_run(sqlite_database)
    other = add_run(sqlite_database)
    with sqlite_database.read() as session:
        # The folder's place is taken by a file.
        job = JobService(session).get(other.job_id)
        Path(job.folder or "").parent.mkdir(parents=True, exist_ok=True)
        Path(job.folder or "").write_text("")
    worker = start_worker(started)
    failed = wait_for(sqlite_database, run.job_id, has(JobState.FAILED))
    assert (failed.error, failed.hint) == ("The loss became nan.", "lower the learning rate")
    assert failed.result == {"fails_again": True}
    unwritable = wait_for(sqlite_database, other.job_id, has(JobState.FAILED))
    assert (unwritable.error or "").startswith(("Not a directory", "File exists"))
    assert worker.poll() is None


def test_a_worker_that_is_asked_to_end_leaves_its_trainer_at_work(
    sqlite_database: Database, started: list[subprocess.Popen[bytes]]
) -> None:
    with steps(1000):
        run = add_run(sqlite_database)
        worker = start_worker(started)
        job = wait_for(sqlite_database, run.job_id, with_checkpoint)
        second = start_worker(started)
        assert second.wait(SECONDS) == 1, "a second worker of the same home refuses"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(SECONDS) == 0
    left = read(sqlite_database, run.job_id)
    assert (left.state, left.pid) == (JobState.RUNNING, job.pid)
    os.kill(job.pid or 0, 0)
    with sqlite_database.read() as session:
        assert JobService(session).worker().seconds_since_beat is None
    with JobQueue(get_settings().queue) as queue:
        assert queue.waiting() == set()


def test_a_teacher_run_waits_for_the_next_worker_which_goes_on_with_it(
    sqlite_database: Database, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"scam: pay me {number}" for number in range(30)]
    with serving() as server:
        server.answer = lambda asked: after(0.2, judges("scam"))
        monkeypatch.setenv("OVERRULE_TEACHER_URL", server.url)
        monkeypatch.setenv("OVERRULE_TEACHER_KEY", "sk-test")
        monkeypatch.setenv("OVERRULE_TEACHER_CONCURRENCY", "1")
        project_id = add_posts(sqlite_database, *texts)
        with sqlite_database.write() as session:
            job = TeacherService(session, Settings()).start(project_id, person="ada")
        first = start_worker(started)
        wait_for(sqlite_database, job.id, lambda job: (job.progress or 0) > 0)
        first.send_signal(signal.SIGTERM)
        assert first.wait(SECONDS) == 0
        assert read(sqlite_database, job.id).state is JobState.QUEUED
        start_worker(started)
        done = wait_for(sqlite_database, job.id, has(JobState.SUCCEEDED))
    assert done.result is not None
    assert done.result["left"] == 0
    asked = [request.post for request in server.asked]
    assert set(asked) == set(texts)
    assert len(asked) <= len(texts) + 1, "only the request that was under way is made again"
