"""The SQL of studies: which runs learned what a cell learns, and which jobs score them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.models import DatasetVersion, Evaluation, Job, Run
from backend.db.models.evaluation import ModelKind
from backend.db.models.jobs import JobKind


class StudyRepository:
    """Finds what is there already."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def runs(
        self, project_id: int, *, rows_hash: str, policy_version_id: int, base_model: str
    ) -> Sequence[tuple[Run, Job]]:
        """The runs that learned the very rows of a version, by whatever handling they came, newest first."""
        rows = self._session.execute(
            select(Run, Job)
            .join(Job, Job.id == Run.job_id)
            .join(DatasetVersion, DatasetVersion.id == Run.dataset_version_id)
            .where(
                Run.project_id == project_id,
                Run.policy_version_id == policy_version_id,
                Run.base_model == base_model,
                DatasetVersion.hash == rows_hash,
            )
            .order_by(Run.number.desc())
        )
        return [(run, job) for run, job in rows]

    def scoring_jobs(self, project_id: int) -> Sequence[Job]:
        """The project's scoring jobs, newest first."""
        return self._session.scalars(
            select(Job).where(Job.project_id == project_id, Job.kind == JobKind.SCORE).order_by(Job.id.desc())
        ).all()

    def evaluation(self, set_id: int, run_id: int, inference: str | None) -> Evaluation | None:
        """A student's newest evaluation on a set, asked in one way."""
        return self._session.scalar(
            select(Evaluation)
            .where(
                Evaluation.set_id == set_id,
                Evaluation.run_id == run_id,
                Evaluation.model_kind == ModelKind.RUN,
                Evaluation.inference.is_not_distinct_from(inference),
            )
            .order_by(Evaluation.id.desc())
            .limit(1)
        )
