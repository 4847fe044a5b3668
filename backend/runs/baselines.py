"""The baselines of a job's folder taken in as evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from backend.db.models.evaluation import ModelKind
from backend.evaluation.baselines.names import Baseline, BaselineModel
from backend.evaluation.baselines.predicted import by
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
    for baseline in Baseline:
        of = by(baseline)
        model = BaselineModel(baseline, version if baseline.is_taught else None).model
        for set_id in set_ids:
            name = job_folder.set_name(set_id)
            there = all(job_folder.has_predictions(folder, each, by=of) for each in (name, THRESHOLDS))
            if there and not evaluations.is_evaluated(set_id, ModelKind.BASELINE, model=model):
                evaluations.ingest(
                    set_id,
                    model_kind=ModelKind.BASELINE,
                    model=model,
                    policy_version_id=policy_version_id,
                    prompt_hash=None,
                    validation=job_folder.read_for_thresholds(folder, by=of),
                    predictions=job_folder.read_predictions(folder, name, by=of),
                    knows_categories=baseline is not Baseline.PROFANITY,
                    job_id=job_id,
                    person=person,
                )
