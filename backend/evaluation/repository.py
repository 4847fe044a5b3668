"""The SQL of evaluations and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import false, func, insert, select
from sqlalchemy.orm import Session, aliased

from backend.db.models import (
    DatasetVersion,
    Evaluation,
    EvaluationRow,
    EvaluationSet,
    Item,
    Prediction,
    Project,
    Run,
)
from backend.db.models.evaluation import ModelKind, Outcome, SetOrigin

# SQLite takes at most 32,766 values in one statement.
_CHUNK = 2_000
# A post may be 10 MB long; a page shows its beginning.
_SHOWN = 2_000


class EvaluationRepository:
    """Reads and writes evaluations and predictions."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def project(self, project_id: int) -> Project | None:
        """One project."""
        return self._session.get(Project, project_id)

    def get(self, evaluation_id: int) -> Evaluation | None:
        """One evaluation."""
        return self._session.get(Evaluation, evaluation_id)

    def add(self, evaluation: Evaluation, predictions: Sequence[Mapping[str, Any]]) -> Evaluation:
        """Store an evaluation with its predictions (columns of `Prediction` but the evaluation's)."""
        self._session.add(evaluation)
        self._session.flush()
        for start in range(0, len(predictions), _CHUNK):
            self._session.execute(
                insert(Prediction),
                [{"evaluation_id": evaluation.id, **one} for one in predictions[start : start + _CHUNK]],
            )
        return evaluation

    def newest(
        self,
        set_id: int,
        kind: ModelKind,
        *,
        model: str | None = None,
        run_id: int | None = None,
        inference: str | None = None,
    ) -> Evaluation | None:
        """A model's newest evaluation on a set; any model of the kind where none is named."""
        query = select(Evaluation).where(
            Evaluation.set_id == set_id,
            Evaluation.model_kind == kind,
            Evaluation.inference.is_not_distinct_from(inference),
        )
        if model is not None:
            query = query.where(Evaluation.model == model)
        if run_id is not None:
            query = query.where(Evaluation.run_id == run_id)
        return self._session.scalar(query.order_by(Evaluation.id.desc()).limit(1))

    def same_model(self, evaluation: Evaluation, set_id: int) -> Evaluation | None:
        """The newest evaluation of the same model, asked in the same way, on another set."""
        return self._session.scalar(
            select(Evaluation)
            .where(
                Evaluation.set_id == set_id,
                Evaluation.model_kind == evaluation.model_kind,
                Evaluation.model == evaluation.model,
                Evaluation.run_id.is_not_distinct_from(evaluation.run_id),
                Evaluation.inference.is_not_distinct_from(evaluation.inference),
            )
            .order_by(Evaluation.id.desc())
            .limit(1)
        )

    def newest_of_each(
        self, project_id: int, set_id: int
    ) -> list[tuple[Evaluation, Run | None, DatasetVersion | None]]:
        """Each model's newest evaluation on a set, with the run that it is of and what that learned from."""
        newest = (
            select(func.max(Evaluation.id))
            .where(Evaluation.project_id == project_id, Evaluation.set_id == set_id)
            .group_by(Evaluation.model_kind, Evaluation.run_id, Evaluation.model, Evaluation.inference)
        )
        rows = self._session.execute(
            select(Evaluation, Run, DatasetVersion)
            .outerjoin(Run, Run.id == Evaluation.run_id)
            .outerjoin(DatasetVersion, DatasetVersion.id == Run.dataset_version_id)
            .where(Evaluation.id.in_(newest))
            .order_by(Evaluation.id.desc())
        )
        return [(evaluation, run, version) for evaluation, run, version in rows]

    def run_number(self, run_id: int) -> int | None:
        """The number of a run within its project."""
        return self._session.scalar(select(Run.number).where(Run.id == run_id))

    def version_number(self, run_id: int) -> int | None:
        """The number of the dataset version that a run learned from."""
        return self._session.scalar(
            select(DatasetVersion.number)
            .join(Run, Run.dataset_version_id == DatasetVersion.id)
            .where(Run.id == run_id)
        )

    def of_run(self, run_id: int) -> list[Evaluation]:
        """A run's evaluations, asked as it is by itself: on the test split first, then the newest."""
        return list(
            self._session.scalars(
                select(Evaluation)
                .join(EvaluationSet, EvaluationSet.id == Evaluation.set_id)
                .where(
                    Evaluation.run_id == run_id,
                    Evaluation.model_kind == ModelKind.RUN,
                    Evaluation.inference.is_(None),
                )
                .order_by(EvaluationSet.origin != SetOrigin.TEST_SPLIT, Evaluation.id.desc())
            )
        )

    # Predictions

    def predictions(self, evaluation_id: int) -> Sequence[Any]:
        """Rows of row_id, gold, positive, labels, scores, any_score, flagged, in the order of keys."""
        return self._session.execute(
            select(
                Prediction.row_id,
                EvaluationRow.labels.label("gold"),
                EvaluationRow.positive,
                Prediction.labels,
                Prediction.scores,
                Prediction.any_score,
                Prediction.flagged,
            )
            .join(EvaluationRow, EvaluationRow.id == Prediction.row_id)
            .where(Prediction.evaluation_id == evaluation_id)
            .order_by(Prediction.row_id)
        ).all()

    def page(
        self, evaluation_id: int, outcomes: Sequence[Outcome], *, after: int, limit: int | None
    ) -> list[int]:
        """Keys of posts with these outcomes; all posts where none is given."""
        query = select(Prediction.row_id).where(
            Prediction.evaluation_id == evaluation_id, Prediction.row_id > after
        )
        if outcomes:
            query = query.where(Prediction.outcome.in_(outcomes))
        return list(self._session.scalars(query.order_by(Prediction.row_id).limit(limit)))

    def outcomes(self, evaluation_id: int) -> dict[Outcome, int]:
        """How many posts have each outcome; one that no post has is left out."""
        counted = self._session.execute(
            select(Prediction.outcome, func.count())
            .where(Prediction.evaluation_id == evaluation_id)
            .group_by(Prediction.outcome)
        )
        return dict(counted.all())

    def posts(self, evaluation_id: int, other_id: int | None, row_ids: Sequence[int]) -> Sequence[Any]:
        """Posts with what one model said of them and, where asked for, another."""
        other = aliased(Prediction)
        return self._session.execute(
            select(
                EvaluationRow.id.label("row_id"),
                EvaluationRow.item_id,
                EvaluationRow.external_id,
                func.substr(EvaluationRow.text, 1, _SHOWN).label("text"),
                EvaluationRow.labels,
                EvaluationRow.positive,
                Prediction.labels.label("predicted"),
                Prediction.flagged,
                Prediction.scores,
                Prediction.any_score,
                Prediction.outcome,
                other.labels.label("other_predicted"),
                other.flagged.label("other_flagged"),
                func.coalesce(Item.sent_back, false()).label("waits"),
            )
            .join(Prediction, Prediction.row_id == EvaluationRow.id)
            .outerjoin(other, (other.row_id == EvaluationRow.id) & (other.evaluation_id == other_id))
            .outerjoin(Item, Item.id == EvaluationRow.item_id)
            .where(Prediction.evaluation_id == evaluation_id, EvaluationRow.id.in_(row_ids))
            .order_by(EvaluationRow.id)
        ).all()
