import os
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import Job, WorkerBeat
from backend.db.models.base import now
from backend.db.models.jobs import JobKind, JobState
from backend.errors import ConflictError, NotFoundError
from backend.jobs.queue import JobQueue
from backend.jobs.repository import JobRepository
from backend.jobs.service import JobService
from backend.jobs.states import can_go_on
from backend.projects.service import ProjectService
from backend.settings import get_settings
from tests.backend.build import add_project


def add_job(session: Session, kind: JobKind = JobKind.EXPORT, state: JobState = JobState.QUEUED) -> Job:
    project = ProjectService(session).find("Posts") or add_project(session)[0]
    job = JobService(session).create(project.id, kind, title="a job", payload={}, person="ada")
    job.state = state
    session.flush()
    return job


def queued() -> set[int]:
    with JobQueue(get_settings().queue) as queue:
        return queue.waiting()


def test_the_queue_is_told_after_the_commit_and_only_then(database: Database) -> None:
    with database.write() as session:
        job = add_job(session)
        assert queued() == set()
    assert queued() == {job.id}
    with pytest.raises(ZeroDivisionError), database.write() as session:
        add_job(session)
        raise ZeroDivisionError
    assert queued() == {job.id}


def test_a_queue_that_cannot_be_written_loses_no_job(database: Database) -> None:
    get_settings().queue.mkdir(parents=True)
    with database.write() as session:
        job = add_job(session)
    with database.read() as session:
        assert JobService(session).get(job.id).state is JobState.QUEUED


def test_a_waiting_job_stops_at_once_and_one_at_work_is_asked(database: Database) -> None:
    with database.write() as session:
        waiting, running = add_job(session), add_job(session, state=JobState.RUNNING)
        assert JobService(session).request_stop(waiting.id).state is JobState.STOPPED
        assert JobService(session).request_stop(running.id).state is JobState.STOPPING
        with pytest.raises(ConflictError, match="stopped already"):
            JobService(session).request_stop(waiting.id)


def test_what_ended_badly_can_resume_and_begins_with_a_clean_row(database: Database) -> None:
    with database.write() as session:
        failed = add_job(session, state=JobState.FAILED)
        failed.error, failed.interruptions = "the disk is full", 2
        failed.result = {"fails_again": True}
        done = add_job(session, state=JobState.SUCCEEDED)
        session.flush()
        resumed = JobService(session).resume(failed.id, "ada")
        assert (resumed.state, resumed.error, resumed.interruptions) == (JobState.QUEUED, None, 0)
        assert resumed.result is None
        with pytest.raises(ConflictError, match="succeeded"):
            JobService(session).resume(done.id, "ada")
    assert failed.id in queued()


@pytest.mark.parametrize(
    ("state", "fails_again", "can"),
    [
        (JobState.FAILED, True, False),
        (JobState.FAILED, False, True),
        (JobState.FAILED, None, True),
        (JobState.STOPPED, None, True),
        (JobState.INTERRUPTED, None, True),
        (JobState.SUCCEEDED, None, False),
        (JobState.RUNNING, None, False),
    ],
)
def test_going_on_can_help_unless_the_same_job_would_fail_again(
    state: JobState, fails_again: bool | None, can: bool
) -> None:
    result = None if fails_again is None else {"fails_again": fails_again}
    assert can_go_on(Job(state=state, result=result)) is can


def test_a_place_counts_its_own_lane_only(database: Database) -> None:
    with database.write() as session:
        service = JobService(session)
        add_job(session, JobKind.TRAIN, JobState.RUNNING)
        first, export = add_job(session, JobKind.SCORE), add_job(session, JobKind.EXPORT)
        second = add_job(session, JobKind.TRAIN)
        assert [service.queue_place(job) for job in (first, second, export)] == [2, 3, 1]
        assert service.queue_place(add_job(session, state=JobState.FAILED)) is None


def test_lists_are_newest_first_and_filtered(database: Database) -> None:
    with database.write() as session:
        one, two = add_job(session, JobKind.TRAIN), add_job(session)
        other = add_project(session, name="Other")[0]
        service = JobService(session)
        assert [job.id for job in service.list()] == [two.id, one.id]
        assert [job.id for job in service.list(kind=JobKind.TRAIN)] == [one.id]
        assert service.list(other.id) == []
        with pytest.raises(NotFoundError, match="no job 99"):
            service.get(99)


def test_no_worker_a_living_one_a_silent_one_and_a_dead_one(database: Database) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with database.write() as session:
        service, jobs = JobService(session), JobRepository(session)
        assert service.worker().alive is False
        jobs.beat(socket.gethostname(), os.getppid(), now())
        assert service.worker().alive is True
        jobs.beat("elsewhere", 1, now())
        assert service.worker().alive is True
        jobs.beat(socket.gethostname(), dead.pid, now())
        assert service.worker().alive is False
        beat = session.query(WorkerBeat).one()
        beat.host, beat.beat_at = "elsewhere", now() - timedelta(seconds=30)
        session.flush()
        state = service.worker()
        assert state.alive is False
        assert state.seconds_since_beat == pytest.approx(30, abs=5)


def test_the_log_is_what_was_logged_and_then_what_was_printed(database: Database) -> None:
    with database.write() as session:
        job = add_job(session)
        folder = get_settings().jobs / "1"
        folder.mkdir(parents=True)
        job.folder = str(folder)
        (folder / "log.txt").write_text("one\ntwo\nthree\n")
        (folder / "output.txt").write_text("Traceback\n")
        assert JobService(session).log_tail(job, 2) == "three\nTraceback"
