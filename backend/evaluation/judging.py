"""A model's scores on a set, judged by what stands for the posts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from backend.db.models import EvaluationSet
from backend.db.models.content import Split
from backend.evaluation.alone import Bands, choose_bands
from backend.evaluation.frames import choose_thresholds, decided_only, read_scores
from backend.evaluation.repository import EvaluationRepository
from backend.evaluation.said import Said, from_scores, not_known
from backend.evaluation.stored import label_map, yes_no


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model said of a set, and what decided it, chosen on validation posts.

    Attributes:
        thresholds: by category, and by ANY.
        bands: in which a person decides.
    """

    said: Said
    thresholds: dict[str, float]
    bands: Bands


def judge_scores(
    evaluations: EvaluationRepository,
    evaluation_set: EvaluationSet,
    policy_version_id: int,
    validation: pd.DataFrame,
    predictions: pd.DataFrame,
) -> Scored:
    """What a model said of a set.

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
    chosen_on, labels = decided_only(
        read_scores(validation, codes), {one.item_id: one.labels for one in decided}
    )
    mapped = label_map(evaluation_set)
    if mapped is not None:
        scores, chosen_on = mapped.scores(scores), mapped.scores(chosen_on)
        labels = [mapped.answer(these) for these in labels]
    why_not = not_known if mapped is None else mapped.refused
    thresholds = choose_thresholds(chosen_on, labels)
    set_codes = list(evaluations.names_of(evaluation_set))
    any_scores = chosen_on.any_scores()
    violation = np.array([bool(these) for these in labels], dtype=bool)
    return Scored(
        from_scores(rows, set_codes, yes_no(evaluation_set), scores, thresholds, why_not),
        thresholds,
        {} if any_scores is None else choose_bands(violation, any_scores),
    )
