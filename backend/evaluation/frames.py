"""The trainer's prediction files as arrays, and thresholds from its validation scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import precision_score, recall_score

from backend.errors import InvalidInputError
from backend.evaluation.judged import Bools, Floats, membership
from backend.evaluation.results import ANY
from training import thresholds as trainers
from training.calibration import fit_temperature
from training.thresholds import BEST_F1, DEFAULT, Aim

_HINT = "Score the model again; the files do not belong together."
# Sums of probabilities in single precision end this far from 1 at most.
_ROUNDING = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Probabilities of n posts for k categories. NaN where the model gave no number.

    Attributes:
        ids: the posts, as the file has them.
        values: (n, k).
        any_violation: (n,) of the column `any_violation`; None where the file has none.
    """

    ids: tuple[int, ...]
    codes: tuple[str, ...]
    values: Floats
    any_violation: Floats | None

    @property
    def refused(self) -> dict[str, str]:
        """The categories whose scores cannot be used, each with the reason."""
        missing = (~np.isfinite(self.values)).sum(axis=0)
        return {
            code: f"{count:,} of {len(self.ids):,} scores are not numbers."
            for code, count in zip(self.codes, missing.tolist(), strict=True)
            if count
        }

    def any_scores(self) -> Floats | None:
        """(n,) the probability that a post breaks any rule; None where no score can be used.

        `any_violation` where the trainer gives it, for it alone counts answers that name two categories
        once. Else the highest of the categories, which is never above the true one. Adding the
        categories up, or taking them for independent, would go above it.
        """
        if self.any_violation is not None and np.isfinite(self.any_violation).all():
            return self.any_violation
        usable = np.isfinite(self.values).all(axis=0)
        return np.asarray(self.values[:, usable].max(axis=1)) if usable.any() else None

    def of(self, ids: Sequence[int]) -> Scores:
        """The same scores in the order of `ids`, which are all of these posts.

        Raises:
            InvalidInputError: posts are missing or unknown.
        """
        place = {post: index for index, post in enumerate(self.ids)}
        missing = sum(post not in place for post in ids)
        unknown = len(place.keys() - set(ids))
        if missing or unknown:
            raise InvalidInputError(
                f"The predictions do not fit the set: {missing:,} of its {len(ids):,} posts are missing "
                f"and {unknown:,} are not in it.",
                _HINT,
            )
        return self.take([place[post] for post in ids])

    def take(self, positions: Sequence[int]) -> Scores:
        """Some of the posts, by position."""
        chosen = np.array(positions, dtype=int)
        return Scores(
            tuple(self.ids[position] for position in positions),
            self.codes,
            self.values[chosen],
            None if self.any_violation is None else self.any_violation[chosen],
        )


def read_scores(frame: pd.DataFrame, codes: Sequence[str]) -> Scores:
    """Read a prediction file: id, p_<code> for each category, any_violation where given.

    Raises:
        InvalidInputError: a column is missing, an id is none of ours or comes twice, or a score
            is a number that is no probability.
    """
    columns = [f"p_{code}" for code in codes]
    absent = [name for name in ("id", *columns) if name not in frame.columns]
    if absent:
        raise InvalidInputError(f"The predictions have no column {', '.join(absent)}.", _HINT)
    ids = pd.to_numeric(frame["id"], errors="coerce")
    if ids.isna().any():
        raise InvalidInputError("The predictions have an id that is not a number.", _HINT)
    if ids.duplicated().any():
        raise InvalidInputError(f"The predictions have post {ids[ids.duplicated()].iloc[0]} twice.", _HINT)
    values = _probabilities(frame, columns)
    return Scores(
        tuple(int(post) for post in ids),
        tuple(codes),
        values,
        _probabilities(frame, ["any_violation"])[:, 0] if "any_violation" in frame.columns else None,
    )


def _probabilities(frame: pd.DataFrame, columns: Sequence[str]) -> Floats:
    values = np.empty((len(frame), len(columns)))
    for position, name in enumerate(columns):
        column = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        column = np.where(np.isfinite(column), column, np.nan)
        if ((column < -_ROUNDING) | (column > 1 + _ROUNDING)).any():
            raise InvalidInputError(f"Column {name} of the predictions holds what is no probability.", _HINT)
        values[:, position] = np.clip(column, 0.0, 1.0)
    return values


def decided_only(
    scores: Scores, decisions: Mapping[int, Sequence[str]]
) -> tuple[Scores, list[Sequence[str]]]:
    """The posts for which something stands, and what.

    Args:
        decisions: labels by id.
    """
    decided = scores.take([at for at, post in enumerate(scores.ids) if post in decisions])
    return decided, [decisions[post] for post in decided.ids]


def choose_thresholds(
    decided: Scores, labels: Sequence[Sequence[str]], aim: Aim = BEST_F1
) -> dict[str, float]:
    """The threshold of each category and of ANY that serves an aim best, on validation posts.

    A score that is not a number does not count; where nothing is left the threshold is 0.5.

    Args:
        decided: the scores of n posts.
        labels: (n) what stands for each.
        aim: what they are chosen for.
    """
    gold = membership(labels, decided.codes)
    thresholds = {
        code: _best(gold[:, column], decided.values[:, column], aim)
        for column, code in enumerate(decided.codes)
    }
    any_scores = decided.any_scores()
    positive = np.array([bool(these) for these in labels], dtype=bool)
    thresholds[ANY] = DEFAULT if any_scores is None else _best(positive, any_scores, aim)
    return thresholds


def missed(
    decided: Scores, labels: Sequence[Sequence[str]], thresholds: Mapping[str, float], aim: Aim
) -> tuple[str, ...]:
    """The categories with a validation post that have less than is wanted at their threshold."""
    if aim.figure == "f1":
        return ()
    measured = precision_score if aim.figure == "precision" else recall_score
    gold = membership(labels, decided.codes)
    return tuple(
        code
        for column, code in enumerate(decided.codes)
        if gold[:, column].any()
        and measured(gold[:, column], decided.values[:, column] >= thresholds[code], zero_division=0.0)
        < aim.wanted
    )


def _best(gold: Bools, scores: Floats, aim: Aim) -> float:
    usable = np.isfinite(scores)
    return float(trainers.choose_thresholds(gold[usable, None], scores[usable, None], aim)[0])


def choose_temperature(decided: Scores, labels: Sequence[Sequence[str]]) -> float | None:
    """The temperature of all categories' scores; None where nothing can tell it. Arguments as above."""
    usable = np.isfinite(decided.values).all(axis=1)
    gold = membership(labels, decided.codes)
    return fit_temperature(gold[usable], decided.values[usable])
