"""What has to be known before models are scored: which have a student, and which are behind on a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from backend.db.models import Evaluation, EvaluationSet, Run
from backend.db.models.evaluation import ModelKind


@dataclass(frozen=True, slots=True)
class Asked:
    """A model and how it was asked; baselines are no such, they come along with the others."""

    kind: ModelKind
    run_id: int | None
    inference: str | None


class ScoringRepository:
    """Reads runs and evaluations."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def newest_version(self, version: EvaluationSet) -> EvaluationSet:
        """The newest version of the set that this is a version of."""
        newest = _versions(version).order_by(EvaluationSet.id.desc()).limit(1)
        return self._session.scalars(newest).one()

    def asked_on(self, version: EvaluationSet) -> dict[Asked, int]:
        """Models that were evaluated on a set, each with the key of the newest version that it was."""
        of_set = _versions(version).with_only_columns(EvaluationSet.id)
        rows = self._session.execute(
            select(
                Evaluation.model_kind, Evaluation.run_id, Evaluation.inference, func.max(Evaluation.set_id)
            )
            .outerjoin(Run, Run.id == Evaluation.run_id)
            .where(
                Evaluation.set_id.in_(of_set),
                Evaluation.model_kind != ModelKind.BASELINE,
                Evaluation.run_id.is_(None) | Run.prompt_hash.is_not(None),
            )
            .group_by(Evaluation.model_kind, Evaluation.run_id, Evaluation.inference)
            .order_by(func.min(Evaluation.id))
        )
        return {Asked(kind, run_id, inference): last for kind, run_id, inference, last in rows}

    def run_numbers(self, project_id: int, run_ids: Sequence[int]) -> dict[int, int]:
        """The numbers of those runs of the project that have a student."""
        rows = self._session.execute(
            select(Run.id, Run.number).where(
                Run.project_id == project_id, Run.id.in_(run_ids), Run.prompt_hash.is_not(None)
            )
        )
        return {row.id: row.number for row in rows}


def _versions(version: EvaluationSet) -> Select[EvaluationSet]:
    return select(EvaluationSet).where(
        EvaluationSet.project_id == version.project_id,
        EvaluationSet.origin == version.origin,
        EvaluationSet.name == version.name,
    )
