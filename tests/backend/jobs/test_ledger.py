import errno
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import Job
from backend.db.models.jobs import JobState
from backend.errors import InvalidInputError
from backend.jobs.ledger import Ledger, Outcome, failure
from backend.jobs.service import JobService
from tests.backend.jobs.test_service import add_job


@pytest.fixture
def job(database: Database) -> Job:
    with database.write() as session:
        return add_job(session)


def state_of(database: Database, job: Job) -> JobState:
    with database.read() as session:
        return JobService(session).get(job.id).state


def test_of_many_who_want_a_job_one_gets_it(database: Database, job: Job) -> None:
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda _: Ledger(database).claim(job.id), range(8)))
    assert sum(claim is not None for claim in claims) == 1
    assert state_of(database, job) is JobState.STARTING


def test_results_are_taken_in_once(database: Database, job: Job) -> None:
    ledger, taken = Ledger(database), []
    ledger.claim(job.id)
    assert ledger.succeed(job.id, lambda _, stored: taken.append(stored.id))
    assert not ledger.succeed(job.id, lambda _, stored: taken.append(stored.id))
    assert taken == [job.id]


def test_results_that_cannot_be_taken_in_leave_the_job_as_it_was(database: Database, job: Job) -> None:
    ledger = Ledger(database)
    ledger.claim(job.id)

    def collect(session: Session, stored: Job) -> None:
        stored.result = {"half": True}
        session.flush()
        raise OSError(errno.ENOSPC, "No space left on device", "/data")

    with pytest.raises(OSError, match="No space"):
        ledger.succeed(job.id, collect)
    found = ledger.read(job.id)
    assert found is not None
    assert (found.state, found.result) == (JobState.STARTING, None)


def test_what_dies_goes_on_by_itself_once(database: Database, job: Job) -> None:
    ledger = Ledger(database)
    ledger.claim(job.id)
    assert ledger.interrupt(job.id, can_go_on=True)
    assert state_of(database, job) is JobState.QUEUED
    ledger.claim(job.id)
    assert not ledger.interrupt(job.id, can_go_on=True)
    found = ledger.read(job.id)
    assert found is not None
    assert found.state is JobState.INTERRUPTED
    assert "died without a word" in (found.error or "")


def test_what_dies_while_it_is_asked_to_stop_has_stopped(database: Database, job: Job) -> None:
    ledger = Ledger(database)
    ledger.claim(job.id)
    with database.write() as session:
        JobService(session).request_stop(job.id)
    assert not ledger.interrupt(job.id, can_go_on=True)
    assert state_of(database, job) is JobState.STOPPED


def test_a_job_that_ended_does_not_end_again(database: Database, job: Job) -> None:
    ledger = Ledger(database)
    ledger.claim(job.id)
    ledger.end(job.id, Outcome(JobState.FAILED, "first"))
    ledger.end(job.id, Outcome(JobState.STOPPED, "second"))
    ledger.put_back(job.id)
    found = ledger.read(job.id)
    assert found is not None
    assert (found.state, found.error) == (JobState.FAILED, "first")


def test_failures_are_words() -> None:
    full = failure(OSError(errno.ENOSPC, "No space left on device", "/data/x"))
    assert full.error == "The disk is full (/data/x)."
    assert failure(OSError(errno.EACCES, "Permission denied", "/x")).error == "Permission denied (/x)."
    told = failure(InvalidInputError("No such set.", "Choose another."))
    assert (told.error, told.hint) == ("No such set.", "Choose another.")
    assert failure(KeyError("x")).error == "KeyError: 'x'"
    assert full.result is None
