"""A model's scores on a set, judged by what stands for the posts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from backend.db.models import EvaluationSet
from backend.db.models.content import Split
from backend.evaluation.alone import Bands, choose_bands
from backend.evaluation.frames import choose_temperature, choose_thresholds, decided_only, missed, read_scores
from backend.evaluation.metrics import ANY_NAME
from backend.evaluation.said import Said, from_scores, not_known
from backend.evaluation.set_repository import SetRepository
from backend.evaluation.stored import label_map, yes_no
from training.thresholds import BEST_F1, Aim


@dataclass(frozen=True, slots=True)
class Knows:
    """What a model can say of a post.

    Attributes:
        codes: the categories that it can name; None where they are all of its policy.
        apart: whether it may find a violation without naming a category: its yes or no then follows
            from the probability of any violation.
        why_not: why it cannot name another category.
    """

    codes: tuple[str, ...] | None = None
    apart: bool = False
    why_not: str = not_known("")


STUDENT = Knows()
"""A student, the base model, or what was taught as they were."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was chosen when a model was trained and lies with it: it decides the same wherever it is used.

    Attributes:
        thresholds: by category.
        temperature: of its scores; None where nothing could tell it.
    """

    thresholds: Mapping[str, float]
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model said of a set, and what decided it, chosen on validation posts now or in its training.

    Attributes:
        thresholds: by category, and by ANY.
        bands: in which a person decides.
        aim: what the thresholds were chosen for.
        temperature: of the scores; None where the posts cannot tell it.
        missed: categories whose thresholds only come near to the aim.
        invalid: the probability of invalid answers, the mean over the set's posts; None where not told.
    """

    said: Said
    thresholds: dict[str, float]
    bands: Bands
    aim: Aim
    temperature: float | None
    missed: tuple[str, ...] = ()
    invalid: float | None = None


def judge_scores(
    sets: SetRepository,
    evaluation_set: EvaluationSet,
    policy_version_id: int,
    validation: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    knows: Knows = STUDENT,
    aim: Aim = BEST_F1,
    kept: Kept | None = None,
) -> Scored:
    """What a model said of a set.

    Args:
        sets: where sets and decisions are.
        evaluation_set: the set.
        policy_version_id: the one that the model was scored under.
        validation: the trainer's frame of the validation posts; thresholds are chosen on what
            stands for these.
        predictions: the same for the set.
        knows: what the model can say.
        aim: what thresholds are chosen for.
        kept: what lies with the model: where the set's labels are the policy's categories it decides, and
            only what it does not hold is chosen.

    Raises:
        InvalidInputError: the frames do not fit the policy or the set.
    """
    rows = sets.rows(evaluation_set.id)
    codes = list(sets.names(policy_version_id) if knows.codes is None else knows.codes)
    scores = read_scores(predictions, codes).of(rows.ids)
    decided = sets.decided(evaluation_set.project_id, Split.VALIDATION)
    chosen_on, labels = decided_only(
        read_scores(validation, codes), {one.item_id: one.labels for one in decided}
    )
    mapped = label_map(evaluation_set) if codes else None
    if mapped is not None:
        scores, chosen_on = mapped.scores(scores), mapped.scores(chosen_on)
        labels = [mapped.answer(these) for these in labels]
    why_not = (lambda _: knows.why_not) if mapped is None else mapped.refused
    thresholds, temperature = choose_thresholds(chosen_on, labels, aim), choose_temperature(chosen_on, labels)
    if kept is not None and mapped is None and not yes_no(evaluation_set):
        thresholds |= {code: at for code, at in kept.thresholds.items() if code in thresholds}
        temperature = temperature if kept.temperature is None else kept.temperature
    set_codes = list(sets.names_of(evaluation_set))
    any_scores = chosen_on.any_scores()
    violation = np.array([bool(these) for these in labels], dtype=bool)
    return Scored(
        from_scores(
            *(rows, set_codes, yes_no(evaluation_set), scores, thresholds, why_not), apart=knows.apart
        ),
        thresholds,
        {} if any_scores is None else choose_bands(violation, any_scores),
        aim,
        temperature,
        missed(chosen_on, labels, thresholds, aim),
        _invalid(predictions),
    )


def _invalid(predictions: pd.DataFrame) -> float | None:
    """What of the probability goes to answers that are no set of the policy's categories."""
    if "valid_mass" not in predictions.columns or predictions.empty:
        return None
    # Sums of single-precision probabilities end a little above 1.
    return max(0.0, 1.0 - float(predictions["valid_mass"].mean()))


def missed_aims(scored: Scored, names: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence on the categories that could not have what the thresholds were to give."""
    if not scored.missed:
        return ()
    listed = ", ".join(names.get(code, ANY_NAME) for code in scored.missed)
    return (
        f"On validation posts a {scored.aim.figure} of {scored.aim.wanted:g} could not be had for {listed}; "
        "the threshold comes nearest to it.",
    )
