"""What every job that scores is given, whether it trains first or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from backend.evaluation.service import EvaluationService
from backend.runs import folder as job_folder
from backend.word_lists.service import WordListService
from training.job import THRESHOLDS


def write_sets(session: Session, project_id: int, set_ids: Sequence[int], folder: Path) -> tuple[str, ...]:
    """Write the sets, the posts that thresholds are chosen on, and the word list.

    Returns:
        What `job.json` calls the sets.
    """
    evaluation, names = EvaluationService(session), [job_folder.set_name(set_id) for set_id in set_ids]
    (folder / "sets").mkdir(parents=True, exist_ok=True)
    for set_id, name in zip(set_ids, names, strict=True):
        evaluation.write_set(set_id, folder / "sets" / f"{name}.parquet")
    evaluation.write_validation(project_id, folder / "sets" / f"{THRESHOLDS}.parquet")
    WordListService(session).write(project_id, folder)
    return (THRESHOLDS, *names)
