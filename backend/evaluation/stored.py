"""Evaluations and predictions as they are stored, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from backend.db.models import DatasetVersion, Evaluation, EvaluationSet, Run
from backend.db.models.evaluation import ModelKind
from backend.evaluation import naming
from backend.evaluation.baselines.names import Baseline, BaselineModel
from backend.evaluation.judged import Judged, membership
from backend.evaluation.mapping import LabelMap
from backend.evaluation.results import Learned, Metrics, ModelRow
from backend.evaluation.said import Said

_METRICS = TypeAdapter(Metrics)


def yes_no(evaluation_set: EvaluationSet) -> bool:
    """Whether a set is judged on any violation only."""
    return evaluation_set.positive_labels is not None


def label_map(evaluation_set: EvaluationSet) -> LabelMap | None:
    """What the labels of a set stand for; None where they are the policy's categories."""
    return None if evaluation_set.label_map is None else LabelMap(evaluation_set.label_map)


def read_metrics(evaluation: Evaluation) -> Metrics:
    """As they were stored."""
    return _METRICS.validate_python(evaluation.metrics)


def write_metrics(metrics: Metrics) -> dict[str, Any]:
    """As they lie in the evaluation's row."""
    stored: dict[str, Any] = _METRICS.dump_python(metrics, mode="json")
    return stored


def read_judged(evaluation: Evaluation, predictions: Sequence[Any]) -> Judged:
    """What was judged, from the stored predictions (`EvaluationRepository.predictions`)."""
    metrics = read_metrics(evaluation)
    codes = metrics.codes
    scored = evaluation.model_kind is not ModelKind.TEACHER
    scores = [[row.scores[code] for code in codes] for row in predictions] if scored else []
    judged = Judged(
        row_ids=np.array([row.row_id for row in predictions], dtype=np.int64),
        codes=codes,
        gold=membership([row.gold for row in predictions], codes),
        named=membership([row.labels for row in predictions], codes),
        positive=np.array([row.positive for row in predictions], dtype=bool),
        flagged=np.array([row.flagged for row in predictions], dtype=bool),
        scores=np.array(scores, dtype=float).reshape(len(predictions), len(codes)) if scored else None,
        any_scores=np.array([row.any_score for row in predictions], dtype=float) if scored else None,
    )
    if metrics.unread:
        judged = replace(judged, unread=np.isin(judged.row_ids, metrics.unread))
    return judged.clustered(metrics.duplicates)


def prediction_rows(said: Said) -> Iterator[dict[str, Any]]:
    """The predictions' columns, but for the evaluation's id."""
    judged = said.judged
    for place, (row_id, outcome) in enumerate(zip(judged.row_ids.tolist(), judged.outcomes(), strict=True)):
        yield {
            "row_id": row_id,
            "labels": said.labels[place],
            "scores": None if said.scores is None else said.scores[place],
            "any_score": None if judged.any_scores is None else float(judged.any_scores[place]),
            "flagged": bool(judged.flagged[place]),
            "outcome": outcome,
        }


def model_row(
    evaluation: Evaluation, run: Run | None, version: DatasetVersion | None, *, champion: bool
) -> ModelRow:
    """An evaluation's line in the table; of a student's with its run and the version that it learned from."""
    metrics = read_metrics(evaluation)
    of_any = metrics.any_violation
    harmless = metrics.posts - of_any.support
    return ModelRow(
        evaluation_id=evaluation.id,
        set_id=evaluation.set_id,
        kind=evaluation.model_kind,
        name=naming.model_name(
            evaluation.model_kind, evaluation.model, run.number if run else None, evaluation.inference
        ),
        model=evaluation.model,
        run_id=evaluation.run_id,
        champion=champion,
        posts=metrics.posts,
        of=metrics.of,
        macro_f1=metrics.macro.f1,
        macro_f1_interval=metrics.macro.f1_interval,
        micro_f1=metrics.micro.f1,
        macro_auprc=metrics.macro.auprc,
        macro_auprc_interval=metrics.macro.auprc_interval,
        any_f1=of_any.f1,
        any_f1_interval=of_any.f1_interval,
        any_auprc=of_any.auprc,
        exact_match=metrics.exact_match,
        violations=of_any.support,
        false_alarms=(of_any.predicted - of_any.hits) / harmless if harmless else None,
        created_at=evaluation.created_at,
        inference=evaluation.inference,
        both=run is not None and run.config.get("answers") == "both",
        learned=Learned(version.number, version.handling, run.seed) if run and version else None,
    )


def without_older_baselines(rows: Sequence[ModelRow], champions: int | None = None) -> list[ModelRow]:
    """The rows but for baselines that learned from an older version than another of their kind.

    Args:
        rows: a set's table.
        champions: the number of the dataset version that the champion learned from; the regression taught
            the same stays, too.
    """
    baselines = [BaselineModel.of(row.model) for row in rows if row.kind is ModelKind.BASELINE]
    newest = {one.baseline: max(_versions(baselines, one.baseline)) for one in baselines}
    beside_champion = BaselineModel(Baseline.REGRESSION, champions)
    return [
        row
        for row in rows
        if row.kind is not ModelKind.BASELINE
        or (one := BaselineModel.of(row.model)) == beside_champion
        or one.version is None
        or one.version == newest[one.baseline]
    ]


def _versions(models: Sequence[BaselineModel], baseline: Baseline) -> Iterator[int]:
    return (one.version or 0 for one in models if one.baseline is baseline)


def headline(row: ModelRow) -> tuple[float, float, float]:
    """What rows are ordered by: macro-F1; F1 on any violation; how few harmless posts are flagged."""
    return (
        -1.0 if row.macro_f1 is None else row.macro_f1,
        -1.0 if row.any_f1 is None else row.any_f1,
        -1.0 if row.false_alarms is None else -row.false_alarms,
    )
