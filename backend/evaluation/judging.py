"""A model's scores on a set, judged by what stands for the posts."""

from __future__ import annotations

import pandas as pd

from backend.db.models import EvaluationSet
from backend.db.models.content import Split
from backend.evaluation.frames import choose_thresholds, read_scores
from backend.evaluation.repository import EvaluationRepository
from backend.evaluation.said import Said, from_scores
from backend.evaluation.stored import yes_no


def judge_scores(
    evaluations: EvaluationRepository,
    evaluation_set: EvaluationSet,
    policy_version_id: int,
    validation: pd.DataFrame,
    predictions: pd.DataFrame,
) -> tuple[Said, dict[str, float]]:
    """What a model said of a set, and the thresholds that decided it.

    Args:
        evaluations: where sets and decisions are.
        evaluation_set: the set.
        policy_version_id: the one that the model was scored under.
        validation: the trainer's frame of the validation posts; thresholds are chosen on what
            stands for these.
        predictions: the same for the set.

    Raises:
        InvalidInputError: the frames do not fit the policy or the set.
    """
    rows = evaluations.rows(evaluation_set.id)
    codes = list(evaluations.names(policy_version_id))
    scores = read_scores(predictions, codes).of(rows.ids)
    decided = evaluations.decided(evaluation_set.project_id, Split.VALIDATION)
    decisions = {one.item_id: one.labels for one in decided}
    thresholds = choose_thresholds(read_scores(validation, codes), decisions)
    set_codes = list(evaluations.names(evaluation_set.policy_version_id))
    return from_scores(rows, set_codes, yes_no(evaluation_set), scores, thresholds), thresholds
