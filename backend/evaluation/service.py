"""Evaluation sets, evaluations, and how models compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from sqlalchemy.orm import Session

from backend.db.models import Evaluation, EvaluationSet, Job
from backend.db.models.evaluation import ModelKind
from backend.evaluation.results import Comparison, ModelRow, PostKind, PostPage, Report


class EvaluationService:
    """What can be done with evaluation sets and evaluations."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def sets(self, project_id: int) -> list[EvaluationSet]:
        """The newest version of each set, the test split first, then by name."""
        raise NotImplementedError

    def get_set(self, project_id: int, name: str) -> EvaluationSet:
        """The newest version of a set by its name or its id."""
        raise NotImplementedError

    def freeze_test_split(self, project_id: int, person: str) -> EvaluationSet:
        """The test split as a frozen set; a new version only where posts, labels or codes changed."""
        raise NotImplementedError

    def write_set(self, set_id: int, path: Path) -> int:
        """Write a set for the trainer (parquet: id, text) and return its number of posts."""
        raise NotImplementedError

    def write_validation(self, project_id: int, path: Path) -> int:
        """Write the validation posts that have a decision (parquet: id, text)."""
        raise NotImplementedError

    def is_evaluated(
        self, set_id: int, kind: ModelKind, *, model: str | None = None, run_id: int | None = None
    ) -> bool:
        """Whether a model has an evaluation on this version of a set."""
        raise NotImplementedError

    def ingest(
        self,
        set_id: int,
        *,
        model_kind: ModelKind,
        model: str,
        run_id: int | None = None,
        policy_version_id: int,
        prompt_hash: str | None,
        validation: pd.DataFrame,
        predictions: pd.DataFrame,
        job_id: int | None = None,
        person: str,
    ) -> Evaluation:
        """Store what a model said of a set (frames: id, p_<code>…, p_any where given)."""
        raise NotImplementedError

    def evaluate_teacher(self, set_id: int, person: str) -> Evaluation | None:
        """Judge the teacher's stored first answers on a set; None where it answered none of it."""
        raise NotImplementedError

    def start_scoring(
        self, project_id: int, *, run_ids: Sequence[int], base: bool, set_ids: Sequence[int], person: str
    ) -> Job:
        """Make the job that scores models on sets."""
        raise NotImplementedError

    def table(self, project_id: int, set_id: int) -> list[ModelRow]:
        """Each model's newest evaluation on a set, the best first."""
        raise NotImplementedError

    def report(self, evaluation_id: int) -> Report:
        """One evaluation in full."""
        raise NotImplementedError

    def compare(self, a_id: int, b_id: int) -> Comparison:
        """Two evaluations on one set side by side; differences are a minus b."""
        raise NotImplementedError

    def beside_champion(self, project_id: int, run_id: int) -> Comparison | None:
        """A run (a) beside the champion (b) on the test split; None where one is not evaluated."""
        raise NotImplementedError

    def posts(
        self,
        evaluation_id: int,
        *,
        kind: PostKind = PostKind.WRONG,
        other_id: int | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> PostPage:
        """The posts behind an evaluation, paged by key."""
        raise NotImplementedError
