"""What can be done with a teacher: see what a run would ask, start it, see how runs went."""

from __future__ import annotations

import os
import secrets
from collections import Counter

from sqlalchemy.orm import Session

from backend import events
from backend.db.models import Job
from backend.db.models.base import now
from backend.db.models.content import Agreement
from backend.db.models.jobs import JobKind, JobState
from backend.errors import ConflictError, InvalidInputError
from backend.jobs.processes import is_alive, start_time
from backend.jobs.repository import JobRepository
from backend.jobs.service import JobService
from backend.jobs.states import ACTIVE
from backend.policies.service import PolicyService
from backend.projects.service import ProjectService
from backend.settings import Settings, get_settings
from backend.teacher.endpoint import find_endpoint
from backend.teacher.prompt import POST_CHARACTERS, PROMPT_VERSION, Prompt
from backend.teacher.repository import Asker, TeacherRepository
from backend.teacher.results import (
    AgreementTable,
    CategoryAgreement,
    TeacherOverrides,
    TeacherRunSummary,
    TeachPayload,
    TeachPlan,
)
from backend.text import things

# Characters of English to a token, and tokens of a usual answer: for a rough estimate only.
_CHARACTERS_PER_TOKEN = 4
_ANSWER_TOKENS = 150


class TeacherService:
    """Teacher runs as pages and commands see them."""

    def __init__(self, session: Session, settings: Settings | None = None) -> None:
        self._session = session
        self._settings = settings or get_settings()
        self._teacher = TeacherRepository(session)

    def plan(self, project_id: int, payload: TeachPayload | None = None) -> TeachPlan:
        """What a run would ask, and roughly what it costs.

        Raises:
            InvalidInputError: the teacher's address, model or key cannot be used.
        """
        payload = payload or TeachPayload()
        endpoint = find_endpoint(self._settings, payload.overrides)
        prompt = self.prompt(project_id)
        unanswered = self._teacher.count(project_id, Agreement.UNANSWERED)
        invalid = self._teacher.count(project_id, Agreement.INVALID)
        wanted = unanswered + (invalid if payload.ask_invalid else 0)
        wanted = min(wanted, payload.limit or wanted)
        waiting = self._teacher.count_rechecks(project_id, Asker(endpoint.model, prompt.hash))
        rechecks = min(waiting, payload.limit or waiting) if payload.recheck else 0
        length = min(self._teacher.mean_length(project_id, asked_about(payload)), POST_CHARACTERS)
        first = len(prompt.preview) / _CHARACTERS_PER_TOKEN + length / _CHARACTERS_PER_TOKEN
        return TeachPlan(
            endpoint=endpoint.address,
            model=endpoint.model,
            has_key=endpoint.key is not None,
            unanswered=unanswered,
            invalid=invalid,
            wanted=wanted,
            to_recheck=waiting,
            prompt=prompt.preview,
            prompt_version=PROMPT_VERSION,
            prompt_hash=prompt.hash,
            prompt_tokens=round(wanted * first + rechecks * (first + _ANSWER_TOKENS)),
            answer_tokens=(wanted + rechecks) * _ANSWER_TOKENS,
        )

    def start(
        self,
        project_id: int,
        *,
        recheck: bool = True,
        limit: int | None = None,
        ask_invalid: bool = False,
        overrides: TeacherOverrides | None = None,
        person: str,
    ) -> Job:
        """Make a job for the worker that asks about every post without an answer.

        Raises:
            InvalidInputError: nothing is left to ask, or the teacher cannot be used as it is set.
            ConflictError: a run is under way in this project.
        """
        payload = TeachPayload(
            recheck=recheck, limit=limit, ask_invalid=ask_invalid, overrides=overrides or TeacherOverrides()
        )
        title = self._check(project_id, payload, person)
        jobs = JobService(self._session, self._settings)
        return jobs.create(project_id, JobKind.TEACH, title=title, payload=payload, person=person)

    def start_here(self, project_id: int, payload: TeachPayload, *, person: str) -> Job:
        """Make a job that this very process carries out; the worker leaves it alone.

        Raises:
            InvalidInputError: nothing is left to ask, or the teacher cannot be used as it is set.
            ConflictError: a run is under way in this project.
        """
        title = self._check(project_id, payload, person)
        job = JobRepository(self._session).add(
            Job(
                project_id=project_id,
                kind=JobKind.TEACH,
                state=JobState.RUNNING,
                title=title,
                payload=payload.model_dump(mode="json"),
                created_by=person,
                pid=os.getpid(),
                pid_started=start_time(os.getpid()),
                heartbeat_at=now(),
                started_at=now(),
            )
        )
        # Should it be resumed, the worker writes its log there.
        job.folder = str(self._settings.jobs / f"{job.id}-{secrets.token_hex(3)}")
        return job

    def runs(self, project_id: int) -> list[TeacherRunSummary]:
        """All runs, the newest first, imported answers among them."""
        return self._teacher.summaries(project_id)

    def agreement(self, project_id: int) -> AgreementTable:
        """How the teacher's first answers stand to the decisions, in all and by category."""
        both = self._teacher.agreed_by_category(project_id)
        teacher_only: Counter[str] = Counter()
        people_only: Counter[str] = Counter()
        for teacher, people, count in self._teacher.differing_labels(project_id):
            for code in {*teacher, *people}:
                side = both if code in teacher and code in people else None
                side = side if side is not None else teacher_only if code in teacher else people_only
                side[code] += count
        categories = PolicyService(self._session).newest(project_id).categories
        return AgreementTable(
            counts=self._teacher.agreement_counts(project_id),
            categories=tuple(
                CategoryAgreement(
                    row.code, row.name, both[row.code], teacher_only[row.code], people_only[row.code]
                )
                for row in categories
            ),
        )

    def prompt(self, project_id: int) -> Prompt:
        """What the teacher is asked under the newest policy."""
        policies = PolicyService(self._session)
        return Prompt(policies.training_policy(policies.newest(project_id)))

    def _check(self, project_id: int, payload: TeachPayload, person: str) -> str:
        """Refuse a run that cannot begin; gives back its title."""
        project = ProjectService(self._session).get(project_id)
        self._refuse_second(project_id)
        plan = self.plan(project_id, payload)
        rechecks = plan.to_recheck if payload.recheck else 0
        if not plan.wanted and not rechecks:
            raise InvalidInputError(
                f"Every post of {project.name} has an answer.",
                "There is nothing to ask. Import more posts, or ask again what could not be read."
                if plan.invalid
                else "There is nothing to ask; import more posts first.",
            )
        title = f"Ask {plan.model} about {things(plan.wanted, 'post')}"
        events.record(self._session, project_id, person, f"{title}.")
        return title[:200]

    def _refuse_second(self, project_id: int) -> None:
        """Two runs at once would ask, and pay, for the same posts twice."""
        states = ACTIVE | {JobState.QUEUED}
        for job in JobService(self._session, self._settings).list(
            project_id, kind=JobKind.TEACH, states=states
        ):
            if job.pid is not None and not is_alive(job.pid, job.pid_started):
                JobRepository(self._session).move(job.id, ACTIVE, JobState.INTERRUPTED, finished_at=now())
                continue
            doing = "waits to ask" if job.state is JobState.QUEUED else "is asking"
            raise ConflictError(
                f"Job {job.id} {doing} the teacher already.",
                f"Wait for it, or stop it: overrule jobs stop {job.id}.",
            )


def asked_about(payload: TeachPayload) -> tuple[Agreement, ...]:
    """Which posts a run asks about: those without an answer, and where asked for those it cannot read."""
    if payload.ask_invalid:
        return (Agreement.UNANSWERED, Agreement.INVALID)
    return (Agreement.UNANSWERED,)
