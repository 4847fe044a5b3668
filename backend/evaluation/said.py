"""What a model said of a set: from probabilities and thresholds, or from a teacher's labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.evaluation.frames import Scores
from backend.evaluation.judged import Bools, Judged, membership
from backend.evaluation.results import ANY


@dataclass(frozen=True, slots=True, eq=False)
class SetRows:
    """A set's posts without their texts, in the order of their keys."""

    ids: tuple[int, ...]
    labels: tuple[tuple[str, ...], ...]
    positive: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a model said of a set, ready to be judged and stored.

    Attributes:
        labels: of each judged post, all categories that the model gives it.
        scores: of each judged post by category; None for a model without probabilities.
        refused: categories of the set that cannot be judged, each with the reason.
        notes: sentences on what could not be judged at all.
        by_any: whether its yes or no follows from the threshold of ANY; else a post is flagged where
            any category is.
    """

    judged: Judged
    labels: tuple[tuple[str, ...], ...]
    scores: tuple[dict[str, float], ...] | None
    refused: dict[str, str]
    notes: tuple[str, ...] = ()
    by_any: bool = False


def not_known(code: str) -> str:
    """Why a model is not judged on a category that its policy lacks."""
    return "The model's policy does not have it."


def from_scores(
    rows: SetRows,
    set_codes: Sequence[str],
    yes_no: bool,
    scores: Scores,
    thresholds: Mapping[str, float],
    why_not: Callable[[str], str] = not_known,
    *,
    apart: bool = False,
) -> Said:
    """A student's or base model's scores, decided by the thresholds.

    Judged are the categories that the set and the model both know. In a yes/no set the model
    says yes from the threshold of ANY on, and so it does where it knows no categories at all; else
    when it gives the post any category.

    Args:
        scores: in the order of `rows`.
        why_not: says why the model is not judged on a category of the set that it cannot give.
        apart: whether it may say yes without naming a category, and so does by the threshold of ANY.
    """
    refused = scores.refused
    usable = [code for code in scores.codes if code not in refused]
    columns = [scores.codes.index(code) for code in usable]
    values = scores.values[:, columns]
    named = values >= np.array([thresholds[code] for code in usable])
    any_scores = scores.any_scores()
    by_any = yes_no or apart or not scores.codes
    if by_any and any_scores is not None:
        flagged = any_scores >= thresholds[ANY]
    else:
        flagged = np.asarray(named.any(axis=1))
    wanted = [] if yes_no else set_codes
    judged = _judge(rows, wanted, usable, named, flagged)
    refused = {code: why for code, why in refused.items() if code in wanted} | _unknown(
        wanted, scores.codes, why_not
    )
    if any_scores is None or not (yes_no or judged.codes or not scores.codes):
        nothing = judged.take(np.array([], dtype=int))
        return Said(nothing, (), (), refused, ("None of the model's scores can be used.",))
    judged_columns = [usable.index(code) for code in judged.codes]
    return Said(
        replace(judged, scores=values[:, judged_columns], any_scores=any_scores),
        _named(usable, named),
        tuple(dict(zip(usable, row, strict=True)) for row in values.tolist()),
        refused,
        by_any=by_any,
    )


def from_labels(
    rows: SetRows,
    set_codes: Sequence[str],
    yes_no: bool,
    model_codes: Sequence[str],
    answers: Mapping[int, Sequence[str] | None],
    why_not: Callable[[str], str] = not_known,
) -> Said:
    """A teacher's answers: labels without probabilities, judged on the posts that it answered.

    Args:
        answers: its answers by the set's row; None for one that could not be read.
        why_not: as for `from_scores`.
    """
    answered = np.array([post in answers for post in rows.ids], dtype=bool)
    ids = tuple(post for post in rows.ids if post in answers)
    part = SetRows(
        ids,
        tuple(labels for labels, there in zip(rows.labels, answered, strict=True) if there),
        rows.positive[answered],
    )
    named = membership([answers[post] or () for post in ids], model_codes)
    unread = np.array([answers[post] is None for post in ids], dtype=bool)
    flagged = np.where(unread, ~part.positive, named.any(axis=1))
    wanted = [] if yes_no else set_codes
    judged = _judge(part, wanted, model_codes, named, flagged)
    if unread.any():
        judged = replace(judged, unread=unread)
    return Said(judged, _named(model_codes, named), None, _unknown(wanted, model_codes, why_not))


def _judge(
    rows: SetRows, set_codes: Sequence[str], model_codes: Sequence[str], named: Bools, flagged: Bools
) -> Judged:
    codes = [code for code in set_codes if code in model_codes]
    return Judged(
        np.array(rows.ids, dtype=np.int64),
        tuple(codes),
        membership(rows.labels, codes),
        named[:, [model_codes.index(code) for code in codes]],
        rows.positive,
        flagged,
    )


def _named(codes: Sequence[str], named: Bools) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(code for code, on in zip(codes, row, strict=True) if on) for row in named.tolist())


def _unknown(
    set_codes: Sequence[str], model_codes: Sequence[str], why_not: Callable[[str], str]
) -> dict[str, str]:
    return {code: why_not(code) for code in set_codes if code not in model_codes}
