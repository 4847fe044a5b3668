"""All SQL of the overview: counts that indexes alone can answer."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.db.models import DatasetVersion, Item, Job, Judgement, Project, Run, TeacherAnswer
from backend.db.models.content import Agreement, Queue, Split
from backend.db.models.jobs import JobState
from backend.items.decision import DIFFERING_RANK
from backend.jobs.states import ENDED
from backend.overview.views import JudgedPost
from backend.teacher.results import DIFFERING


class OverviewRepository:
    """Reads where a project stands."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def agreements(self, project_id: int) -> dict[Agreement, int]:
        """Items by how the teacher's answer stands to the decision."""
        found = select(Item.agreement, func.count()).where(Item.project_id == project_id)
        return dict(self._session.execute(found.group_by(Item.agreement)).all())

    def answered_but_dropped(self, project_id: int) -> dict[bool, int]:
        """Answers to posts that people dropped, by whether they can be read."""
        readable = TeacherAnswer.labels.is_not(None)
        found = (
            select(readable, func.count())
            .join(Item, Item.answer_id == TeacherAnswer.id)
            .where(Item.project_id == project_id, Item.agreement == Agreement.DROPPED)
            .group_by(readable)
        )
        return {bool(can_be): n for can_be, n in self._session.execute(found)}

    def splits(self, project_id: int) -> dict[Split, int]:
        """Items by what they are used for."""
        found = select(Item.split, func.count()).where(Item.project_id == project_id)
        return dict(self._session.execute(found.group_by(Item.split)).all())

    def reviewed(self, project_id: int) -> int:
        """Items whose decision is a review's."""
        # A range instead of "is not null", so that both databases walk the index on verdicts.
        reviewed = select(func.count()).where(Item.project_id == project_id, Item.verdict > "")
        return self._session.scalar(reviewed) or 0

    def judged(self, project_id: int, among: int) -> tuple[list[JudgedPost], datetime | None]:
        """Judgements of a project's posts, the newest first, among so many newest of all projects.

        And the time since when these are all that there are; None where there are no older ones.
        """
        rows = self._session.execute(
            select(
                Judgement.person, Judgement.item_id, Judgement.verdict, Judgement.created_at, Item.project_id
            )
            .join(Item, Item.id == Judgement.item_id)
            .where(Judgement.verdict.is_not(None))
            .order_by(Judgement.id.desc())
            .limit(among)
        ).all()
        judged = [
            JudgedPost(row.person, row.item_id, row.verdict, row.created_at)
            for row in rows
            if row.project_id == project_id
        ]
        return judged, rows[-1].created_at if len(rows) == among else None

    def waiting(self, project_id: int) -> dict[tuple[Queue, bool], int]:
        """Waiting items by queue, and by whether they differ from the decision or were sent back."""
        differs = Item.queue_rank <= DIFFERING_RANK
        found = (
            select(Item.queue, differs, func.count())
            .where(Item.project_id == project_id, Item.queue.in_(list(Queue)))
            .group_by(Item.queue, differs)
        )
        return {(queue, bool(differing)): n for queue, differing, n in self._session.execute(found) if queue}

    def sent_back(self, project_id: int) -> int:
        """Waiting items that were sent back though their answer does not differ from the decision."""
        sent_back = select(func.count()).where(
            Item.project_id == project_id,
            Item.queue == Queue.TEACHER,
            # Says the same as `sent_back`, in the words of the index.
            Item.queue_rank == 0,
            Item.agreement.not_in(DIFFERING),
        )
        return self._session.scalar(sent_back) or 0

    def newest_version(self, project_id: int) -> DatasetVersion | None:
        """The newest dataset version."""
        return self._session.scalar(
            select(DatasetVersion)
            .where(DatasetVersion.project_id == project_id)
            .order_by(DatasetVersion.number.desc())
            .limit(1)
        )

    def newest_run(self, project_id: int) -> tuple[Run, Job] | None:
        """The newest run and its job."""
        row = self._session.execute(
            select(Run, Job)
            .join(Job, Job.id == Run.job_id)
            .where(Run.project_id == project_id)
            .order_by(Run.number.desc())
            .limit(1)
        ).one_or_none()
        return None if row is None else (row[0], row[1])

    def runs_done(self, project_id: int) -> int:
        """Runs that left an adapter."""
        done = (
            select(func.count())
            .select_from(Run)
            .join(Job, Job.id == Run.job_id)
            .where(Run.project_id == project_id, Job.state == JobState.SUCCEEDED)
        )
        return self._session.scalar(done) or 0

    def active(self, project_id: int) -> tuple[Job, ...]:
        """Jobs that wait or are at work, oldest first."""
        open_ = [state for state in JobState if state not in ENDED]
        return tuple(
            self._session.scalars(
                select(Job).where(Job.project_id == project_id, Job.state.in_(open_)).order_by(Job.id)
            )
        )

    def champion_run(self, project_id: int) -> Run | None:
        """The run in use; None while the base model is champion."""
        return self._session.scalar(
            select(Run).join(Project, Project.champion_run_id == Run.id).where(Project.id == project_id)
        )
