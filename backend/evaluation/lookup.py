"""Sets and evaluations by their keys, as the services of the room need them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from backend.db.models import Evaluation, EvaluationSet
from backend.errors import NotFoundError
from backend.evaluation import naming
from backend.evaluation.judged import Judged
from backend.evaluation.repository import EvaluationRepository
from backend.evaluation.set_repository import SetRepository
from backend.evaluation.stored import read_judged


class Lookup:
    """Finds what there is, and says so where it is not."""

    def __init__(self, session: Session) -> None:
        self._sets = SetRepository(session)
        self._evaluations = EvaluationRepository(session)

    def set(self, set_id: int) -> EvaluationSet:
        """One version of a set.

        Raises:
            NotFoundError: there is none.
        """
        found = self._sets.get_set(set_id)
        if found is None:
            raise NotFoundError(f"There is no evaluation set {set_id}.", "Choose one of the project's.")
        return found

    def evaluation(self, evaluation_id: int) -> Evaluation:
        """One evaluation.

        Raises:
            NotFoundError: there is none.
        """
        found = self._evaluations.get(evaluation_id)
        if found is None:
            raise NotFoundError(f"There is no evaluation {evaluation_id}.", "Choose one from the table.")
        return found

    def name(self, evaluation: Evaluation) -> str:
        """What the evaluated model is called."""
        number = self._evaluations.run_number(evaluation.run_id) if evaluation.run_id else None
        return naming.model_name(evaluation.model_kind, evaluation.model, number, evaluation.inference)

    def judged(self, evaluation: Evaluation) -> Judged:
        """What the model said of the set, with what stands."""
        return read_judged(evaluation, self._evaluations.predictions(evaluation.id))
