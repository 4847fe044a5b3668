"""The baselines of a job's folder taken in as evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from sqlalchemy.orm import Session

from backend.db.models.evaluation import ModelKind
from backend.evaluation.baselines.names import Baseline, BaselineModel
from backend.evaluation.baselines.own_words import has_words, read_words
from backend.evaluation.baselines.predicted import by
from backend.evaluation.judging import STUDENT, Knows
from backend.evaluation.service import EvaluationService
from backend.runs import folder as job_folder
from training.job import THRESHOLDS


def ingest_baselines(
    session: Session,
    folder: Path,
    set_ids: Sequence[int],
    *,
    version: int | None,
    policy_version_id: int,
    job_id: int | None,
    person: str,
) -> None:
    """Judge what the baselines said of the folder's sets; one that is evaluated on a set is not again.

    Args:
        folder: the job's, where `baselines.predicted.predict` was at work.
        set_ids: the sets.
        version: the number of the dataset version that the folder's training rows are of.
        policy_version_id: the version's.
        job_id: the job.
        person: who asked for it.
    """
    evaluations = EvaluationService(session)
    numbers = {baseline: version for baseline in Baseline if baseline.is_taught}
    numbers[Baseline.OWN_WORDS] = read_words(folder)[0] if has_words(folder) else None
    for baseline in Baseline:
        of = by(baseline)
        model = BaselineModel(baseline, numbers.get(baseline)).model
        for set_id in set_ids:
            name = job_folder.set_name(set_id)
            there = all(job_folder.has_predictions(folder, each, by=of) for each in (name, THRESHOLDS))
            if there and not evaluations.is_evaluated(set_id, ModelKind.BASELINE, model=model):
                predictions = job_folder.read_predictions(folder, name, by=of)
                evaluations.ingest(
                    set_id,
                    model_kind=ModelKind.BASELINE,
                    model=model,
                    policy_version_id=policy_version_id,
                    prompt_hash=None,
                    validation=job_folder.read_for_thresholds(folder, by=of),
                    predictions=predictions,
                    knows=_known(baseline, predictions),
                    job_id=job_id,
                    person=person,
                )


def _known(baseline: Baseline, predictions: pd.DataFrame) -> Knows:
    """What a baseline can say; the team's word list only of categories that it has words for."""
    if baseline.is_taught:
        return STUDENT
    columns = [str(name) for name in predictions.columns]
    codes = tuple(name.removeprefix("p_") for name in columns if name.startswith("p_"))
    if baseline is Baseline.OWN_WORDS:
        return Knows(codes, apart=True, why_not="Your word list has no word for it.")
    return Knows(codes, apart=True)
