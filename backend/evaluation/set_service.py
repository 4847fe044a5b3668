"""What can be seen of models by a set's groups."""

from __future__ import annotations

from sqlalchemy.orm import Session

from backend.db.models import Evaluation, EvaluationSet
from backend.errors import NotFoundError
from backend.evaluation.groups import Breakdown, breakdown
from backend.evaluation.judged import Judged
from backend.evaluation.repository import EvaluationRepository
from backend.evaluation.stored import read_judged


class SetService:
    """What can be done with sets beside evaluating models on them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._evaluations = EvaluationRepository(session)

    def breakdown(self, evaluation_id: int) -> Breakdown:
        """How often a model flags harmless posts of a set, and how often it is right in each group."""
        evaluation = self._evaluation(evaluation_id)
        evaluation_set = self._set(evaluation.set_id)
        judged = self._judged(evaluation)
        group_by = evaluation_set.group_by
        groups = self._evaluations.groups(evaluation_set.id, group_by) if group_by else {}
        return breakdown(judged, group_by, [groups[key] for key in judged.row_ids.tolist() if groups])

    # Within

    def _set(self, set_id: int) -> EvaluationSet:
        found = self._evaluations.get_set(set_id)
        if found is None:
            raise NotFoundError(f"There is no evaluation set {set_id}.", "Choose one of the project's.")
        return found

    def _evaluation(self, evaluation_id: int) -> Evaluation:
        found = self._evaluations.get(evaluation_id)
        if found is None:
            raise NotFoundError(f"There is no evaluation {evaluation_id}.", "Choose one from the table.")
        return found

    def _judged(self, evaluation: Evaluation) -> Judged:
        return read_judged(evaluation, self._evaluations.predictions(evaluation.id))
