"""What one call of a teaching job is to do, and the posts for it, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import Job, PolicyVersion, TeacherRun
from backend.db.models.teacher import TeacherOrigin
from backend.jobs.service import JobService
from backend.policies.service import PolicyService
from backend.projects.service import ProjectService
from backend.settings import Settings
from backend.teacher.endpoint import Endpoint, find_endpoint
from backend.teacher.prompt import Prompt
from backend.teacher.repository import Asker, Post, TeacherRepository
from backend.teacher.results import TeachPayload
from backend.teacher.service import asked_about

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is to do.

    Attributes:
        run_id: the teacher run that new answers belong to.
        wanted: how many posts to ask about.
        rechecks: how many old answers wait for their recheck only.
        none_label: the project's own word for "no violation".
    """

    project_id: int
    run_id: int
    payload: TeachPayload
    endpoint: Endpoint
    prompt: Prompt
    wanted: int
    rechecks: int
    none_label: str | None

    def posts(self, database: Database) -> Iterator[Post]:
        """The posts, first those that wait for a recheck only; each page is read by itself."""

        def waiting(teacher: TeacherRepository, after: int, limit: int) -> list[Post]:
            asker = Asker(self.endpoint.model, self.prompt.hash)
            return teacher.rechecks(self.project_id, asker, after=after, limit=limit)

        def unanswered(teacher: TeacherRepository, after: int, limit: int) -> list[Post]:
            agreements = asked_about(self.payload)
            return teacher.posts(self.project_id, agreements, run_id=self.run_id, after=after, limit=limit)

        yield from _paged(database, waiting, self.rechecks)
        yield from _paged(database, unanswered, self.wanted)


def begin(session: Session, job_id: int, settings: Settings) -> Assignment:
    """Count what is to do and make the teacher run, or go on with the one that was cut off.

    Raises:
        NotFoundError: there is no such job.
        InvalidInputError: the teacher's address, model or key cannot be used.
    """
    job = JobService(session, settings).get(job_id)
    payload = TeachPayload.model_validate(job.payload)
    endpoint = find_endpoint(settings, payload.overrides)
    policies = PolicyService(session)
    version = policies.newest(job.project_id)
    prompt = Prompt(policies.training_policy(version))
    teacher = TeacherRepository(session)
    rechecks = teacher.count_rechecks(job.project_id, Asker(endpoint.model, prompt.hash))
    run, limit = _run(teacher, job, payload, endpoint, version, prompt)
    wanted = teacher.count_posts(job.project_id, asked_about(payload), run_id=run.id)
    wanted = wanted if limit is None else min(wanted, limit)
    run.wanted = teacher.first_answers(run.id) + wanted
    run.failed, run.finished_at = {}, None
    return Assignment(
        project_id=job.project_id,
        run_id=run.id,
        payload=payload,
        endpoint=endpoint,
        prompt=prompt,
        wanted=wanted,
        rechecks=min(rechecks, payload.limit or rechecks) if payload.recheck else 0,
        none_label=ProjectService(session).get(job.project_id).none_label,
    )


def _run(
    teacher: TeacherRepository,
    job: Job,
    payload: TeachPayload,
    endpoint: Endpoint,
    version: PolicyVersion,
    prompt: Prompt,
) -> tuple[TeacherRun, int | None]:
    """The run to go on with, and how many posts it may still ask about.

    A job that was cut off goes on in its own run, unless model or prompt changed meanwhile:
    all answers of a run come from one model under one prompt.
    """
    limit = payload.limit
    run = teacher.run_of_job(job.id)
    if run is not None:
        limit = None if limit is None else max(0, limit - teacher.first_answers(run.id))
        if (run.model, run.prompt_hash) == (endpoint.model, prompt.hash):
            return run, limit
    run = TeacherRun(
        project_id=job.project_id,
        policy_version_id=version.id,
        origin=TeacherOrigin.ASKED,
        endpoint=endpoint.address,
        model=endpoint.model,
        prompt_hash=prompt.hash,
        recheck=payload.recheck,
        job_id=job.id,
        created_by=job.created_by,
    )
    return teacher.add_run(run), limit


def _paged(
    database: Database, read: Callable[[TeacherRepository, int, int], list[Post]], count: int
) -> Iterator[Post]:
    after = 0
    while count > 0:
        with database.read() as session:
            page = read(TeacherRepository(session), after, min(_PAGE, count))
        if not page:
            return
        after = page[-1].item_id
        count -= len(page)
        yield from page
