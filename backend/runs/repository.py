"""All SQL about runs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.db.models import DatasetVersion, Evaluation, EvaluationSet, Item, Job, Judgement, Project, Run
from backend.db.models.evaluation import ModelKind
from backend.db.models.jobs import JobState


class RunRepository:
    """Rows of runs and what hangs on them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, run: Run) -> Run:
        """Store a new run under the project's next number."""
        newest = self._session.scalar(select(func.max(Run.number)).where(Run.project_id == run.project_id))
        run.number = (newest or 0) + 1
        self._session.add(run)
        self._session.flush()
        return run

    def project(self, project_id: int) -> Project | None:
        """The project as it is stored now."""
        return self._session.get(Project, project_id, populate_existing=True)

    def get(self, run_id: int) -> Run | None:
        """One run."""
        return self._session.get(Run, run_id)

    def by_number(self, project_id: int, number: int) -> Run | None:
        """One run of a project by its number."""
        return self._session.scalar(select(Run).where(Run.project_id == project_id, Run.number == number))

    def of_job(self, job_id: int) -> Run | None:
        """The run that a job carries out."""
        return self._session.scalar(select(Run).where(Run.job_id == job_id))

    def version(self, version_id: int) -> DatasetVersion | None:
        """One dataset version."""
        return self._session.get(DatasetVersion, version_id)

    def list(self, project_id: int) -> Sequence[tuple[Run, Job, DatasetVersion]]:
        """A project's runs with job and dataset version, the newest first."""
        rows = self._session.execute(
            select(Run, Job, DatasetVersion)
            .join(Job, Run.job_id == Job.id)
            .join(DatasetVersion, Run.dataset_version_id == DatasetVersion.id)
            .where(Run.project_id == project_id)
            .order_by(Run.number.desc())
        )
        return [(run, job, version) for run, job, version in rows]

    def last_learned(self, project_id: int) -> tuple[int, int] | None:
        """The last run that finished: its number, and the newest judgement that its dataset knows."""
        row = self._session.execute(
            select(Run.number, DatasetVersion.last_judgement_id)
            .join(DatasetVersion, Run.dataset_version_id == DatasetVersion.id)
            .join(Job, Run.job_id == Job.id)
            .where(Run.project_id == project_id, Job.state == JobState.SUCCEEDED)
            .order_by(Run.number.desc())
            .limit(1)
        ).one_or_none()
        return None if row is None else (row[0], row[1])

    def decisions_after(self, project_id: int, judgement_id: int) -> int:
        """Items whose decision is newer than a judgement."""
        return (
            self._session.scalar(
                select(func.count())
                .select_from(Judgement)
                .join(Item, Item.decision_id == Judgement.id)
                .where(Judgement.id > judgement_id, Item.project_id == project_id)
            )
            or 0
        )

    def set_names_of(self, project_id: int, run_id: int | None) -> Sequence[str]:
        """Names of the sets that a run, or the base model where None, is evaluated on."""
        query = (
            select(EvaluationSet.name)
            .join(Evaluation, Evaluation.set_id == EvaluationSet.id)
            .where(Evaluation.project_id == project_id)
            .distinct()
            .order_by(EvaluationSet.name)
        )
        if run_id is None:
            query = query.where(Evaluation.model_kind == ModelKind.BASE)
        else:
            query = query.where(Evaluation.run_id == run_id)
        return self._session.scalars(query).all()

    def has_base_evaluation(self, set_id: int, base_model: str, policy_version_id: int) -> bool:
        """Whether this base model is scored on this set under this policy version."""
        found = self._session.scalar(
            select(Evaluation.id)
            .where(
                Evaluation.set_id == set_id,
                Evaluation.model_kind == ModelKind.BASE,
                Evaluation.model == base_model,
                Evaluation.policy_version_id == policy_version_id,
                Evaluation.inference.is_(None),
            )
            .limit(1)
        )
        return found is not None

    def newest_results(self, base_model: str, limit: int) -> Sequence[Run]:
        """The last runs that finished with this base model, whichever project they are of."""
        return self._session.scalars(
            select(Run)
            .join(Job, Run.job_id == Job.id)
            .where(Run.base_model == base_model, Job.state == JobState.SUCCEEDED, Run.result.is_not(None))
            .order_by(Run.id.desc())
            .limit(limit)
        ).all()

    def newest_result(self, base_model: str) -> Run | None:
        """The last run that finished with this base model, whichever project it is of."""
        return next(iter(self.newest_results(base_model, 1)), None)
