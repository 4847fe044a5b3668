"""The SQL of sending posts to review."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from backend.db.models import Evaluation, EvaluationRow, EvaluationSet, Item, Judgement, Prediction, Project
from backend.db.models.evaluation import ModelKind, Outcome, SetOrigin

# SQLite takes at most 32,766 values in one statement.
_CHUNK = 2_000


class Sendable(NamedTuple):
    """A post of a set that is an item and does not wait already; `right` where every model has it right."""

    row_id: int
    item_id: int
    right: bool


class JudgedItem(NamedTuple):
    """An item of a test split, with an evaluation of a model on it."""

    evaluation_id: int
    row_id: int


class SendingRepository:
    """Reads which posts can be sent."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def sendable(self, evaluation_ids: Sequence[int], row_ids: Sequence[int]) -> list[Sendable]:
        """Those of these posts that can be sent, in the order of their keys."""
        ids = sorted(set(row_ids))
        found: list[Sendable] = []
        for start in range(0, len(ids), _CHUNK):
            rows = self._session.execute(
                select(EvaluationRow.id, Item.id, _right_by() == len(evaluation_ids))
                .join(Item, Item.id == EvaluationRow.item_id)
                .join(Prediction, Prediction.row_id == EvaluationRow.id)
                .where(
                    EvaluationRow.id.in_(ids[start : start + _CHUNK]),
                    Prediction.evaluation_id.in_(evaluation_ids),
                    Item.sent_back.is_(False),
                )
                .group_by(EvaluationRow.id, Item.id)
                .order_by(EvaluationRow.id)
            )
            found += [Sendable(*row) for row in rows]
        return found

    def judged(self, item_id: int) -> JudgedItem | None:
        """The champion's newest evaluation on an item of the test split, else the newest of any model."""
        row = self._session.execute(
            select(Evaluation.id, EvaluationRow.id)
            .join(EvaluationRow, EvaluationRow.set_id == Evaluation.set_id)
            .join(EvaluationSet, EvaluationSet.id == Evaluation.set_id)
            .join(Project, Project.id == Evaluation.project_id)
            .join(
                Prediction,
                (Prediction.evaluation_id == Evaluation.id) & (Prediction.row_id == EvaluationRow.id),
            )
            .where(
                EvaluationRow.item_id == item_id,
                EvaluationSet.origin == SetOrigin.TEST_SPLIT,
                Evaluation.model_kind.in_((ModelKind.RUN, ModelKind.BASE)),
            )
            .order_by(
                Evaluation.run_id.is_not_distinct_from(Project.champion_run_id).desc(), Evaluation.id.desc()
            )
            .limit(1)
        ).first()
        return None if row is None else JudgedItem(*row)

    def right_everywhere(self, evaluation_ids: Sequence[int], *, but: Sequence[int]) -> list[int]:
        """The items of a set that each model got right and that nobody looks at or looked at since.

        Args:
            evaluation_ids: of the models, on one set.
            but: posts of the set that are not meant.
        """
        frozen_at = (
            select(EvaluationSet.created_at)
            .join(Evaluation, Evaluation.set_id == EvaluationSet.id)
            .where(Evaluation.id == evaluation_ids[0])
            .scalar_subquery()
        )
        judged_since = select(Judgement.id).where(
            Judgement.item_id == Item.id, Judgement.created_at > frozen_at
        )
        rows = self._session.execute(
            select(EvaluationRow.id, Item.id)
            .join(Item, Item.id == EvaluationRow.item_id)
            .join(Prediction, Prediction.row_id == EvaluationRow.id)
            .where(
                Prediction.evaluation_id.in_(evaluation_ids),
                Item.sent_back.is_(False),
                ~judged_since.exists(),
            )
            .group_by(EvaluationRow.id, Item.id)
            .having(_right_by() == len(evaluation_ids))
            .order_by(EvaluationRow.id)
        )
        left_out = set(but)
        return [item_id for row_id, item_id in rows if row_id not in left_out]


def _right_by() -> ColumnElement[int]:
    """How many of the predictions of a post are right."""
    return func.count().filter(Prediction.outcome == Outcome.RIGHT)
