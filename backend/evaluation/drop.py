"""What disguises cost a model: a set beside the one that it was made from, post by post."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.evaluation.bootstrap import RESAMPLES
from backend.evaluation.comparison import differences, share_text
from backend.evaluation.judged import Judged, shared
from backend.evaluation.results import SIGNIFICANCE, Difference
from backend.evaluation.significance import holm


@dataclass(frozen=True, slots=True)
class Cost:
    """Of some posts, the figures as they are (a) and disguised (b); a difference above 0 is the cost.

    Attributes:
        name: of the disguise; empty for all posts.
        f1, auprc: means over the categories; of any violation in a yes/no set.
        any_f1, any_auprc: of any violation.
        f1_p: of no cost in F1, from the paired bootstrap; of a disguise after Holm over all of them.
    """

    name: str
    posts: int
    f1: Difference
    auprc: Difference
    any_f1: Difference
    any_auprc: Difference
    f1_p: float | None = None

    @property
    def clear(self) -> bool:
        """Whether it costs F1, all disguises being looked at."""
        found = self.f1_p is not None and self.f1_p < SIGNIFICANCE
        return found and (self.f1.difference or 0) > 0


@dataclass(frozen=True, slots=True)
class Drop:
    """What disguises cost a model.

    Attributes:
        set_name, set_number: the set that the posts are from.
        overall: of all posts; None where the model is not evaluated on them as they are.
        disguises: of each disguise, the costliest first.
        sentence: what follows, in plain words.
    """

    set_name: str
    set_number: int
    overall: Cost | None
    disguises: tuple[Cost, ...]
    sentence: str


def not_known(set_name: str, set_number: int, *, newest: bool) -> Drop:
    """For a model that is not evaluated on the posts as they are.

    Args:
        newest: whether it could be: earlier versions of a set are not evaluated any more.
    """
    which = f"{set_name} (version {set_number})"
    sentence = (
        f"What disguises cost it can be said once it is evaluated on {which}, too."
        if newest
        else f"The posts are from {which}, on which it is not evaluated. Make the set again from the newest."
    )
    return Drop(set_name, set_number, None, (), sentence)


def measure_drop(
    plain: Judged,
    disguised: Judged,
    *,
    names: Mapping[str, str],
    disguises: Sequence[str],
    set_name: str,
    set_number: int,
) -> Drop:
    """Compare a model with itself by a paired bootstrap, on all posts and on those of each disguise.

    Args:
        plain: on the posts as they are.
        disguised: on the same posts in disguise, under the same keys in any order.
        names: the categories by code.
        disguises: how each post of `disguised` is disguised, in its order.
        set_name, set_number: the set that the posts are from.
    """
    how = dict(zip(disguised.row_ids.tolist(), disguises, strict=True))
    plain, disguised = shared(plain, disguised)
    # What repeats another post does so under its disguise, too.
    disguised = replace(disguised, clusters=plain.clusters)
    of_posts = np.array([how[key] for key in plain.row_ids.tolist()], dtype=object)
    parts = [
        _cost(name, plain.take(of_posts == name), disguised.take(of_posts == name), names, RESAMPLES // 2)
        for name in sorted(set(disguises))
    ]
    p_values = holm([None if part.f1.difference is None else part.f1_p for part in parts])
    parts = [replace(part, f1_p=p_value) for part, p_value in zip(parts, p_values, strict=True)]
    overall = _cost("", plain, disguised, names, RESAMPLES)
    parts.sort(key=lambda part: -(part.f1.difference if part.f1.difference is not None else -np.inf))
    sentence = _sentence(overall, parts, yes_no=not plain.codes)
    return Drop(set_name, set_number, overall, tuple(parts), sentence)


def _cost(name: str, plain: Judged, disguised: Judged, names: Mapping[str, str], resamples: int) -> Cost:
    found = differences(plain, disguised, names=names, resamples=resamples)
    f1, auprc, p_value = (
        (found.macro_f1, found.macro_auprc, found.macro_f1_p)
        if plain.codes
        else (found.any_f1, found.any_auprc, found.any_f1_p)
    )
    return Cost(name, len(plain), f1, auprc, found.any_f1, found.any_auprc, p_value)


def _sentence(overall: Cost, parts: Sequence[Cost], *, yes_no: bool) -> str:
    f1 = overall.f1
    if f1.difference is None:
        return "What disguises cost it cannot be said: no category that is judged has posts here."
    figure = "F1 on any violation" if yes_no else "macro-F1"
    worst = next((part for part in parts if part.clear), None)
    if f1.clear and f1.difference > 0:
        most = f", most of all {worst.name}: {cost_text(worst.f1)}" if worst is not None else ""
        return f"Disguised posts cost it {cost_text(f1)} of {figure}{most}."
    gain = Difference(f1.b, f1.a, -f1.difference, _minus(f1.high), _minus(f1.low))
    all_in_all = (
        f"It is better on disguised posts, by {cost_text(gain)} of {figure}"
        if f1.clear
        else f"Disguised posts cost it nothing that is clear: {cost_text(f1)} of {figure}"
    )
    return f"{all_in_all}{f'; but {worst.name} cost it {cost_text(worst.f1)}' if worst is not None else ''}."


def cost_text(cost: Difference) -> str:
    """A cost with its interval: ".12 (.08 to .16)"; "–" where it is not known."""
    if cost.difference is None:
        return "–"
    if cost.low is None or cost.high is None:
        return share_text(cost.difference)
    return f"{share_text(cost.difference)} ({share_text(cost.low)} to {share_text(cost.high)})"


def _minus(value: float | None) -> float | None:
    return None if value is None else -value
