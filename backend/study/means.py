"""Means over seeds, and differences between settings that are alike in all else. Values in, values out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from backend.study.intervals import Estimate, Figure, average, over_seeds
from backend.study.scored import Scored

Take = Callable[[Scored], Figure | None]
"""A figure of a student; None where it has none."""


def level(scored: Iterable[Scored], take: Take, least: float = 0.0) -> Estimate | None:
    """The mean of a figure over settings and seeds; None where no seed has all settings.

    Args:
        scored: the students.
        take: the figure.
        least: that it can be; the most is 1.
    """
    figures: dict[tuple[Hashable, int], Figure | None] = {
        (setting(one), one.cell.seed): take(one) for one in scored
    }
    return _balanced(figures, least)


def difference(
    of: Sequence[Scored], against: Sequence[Scored], take: Take, alike: Callable[[Scored], Hashable]
) -> Estimate | None:
    """The mean difference between students that are alike but in what is compared.

    Args:
        of, against: the two sides.
        take: the figure.
        alike: what two students have in common that are compared, beside their seed.
    """
    others = {(alike(one), one.cell.seed): take(one) for one in against}
    figures: dict[tuple[Hashable, int], Figure | None] = {}
    for one in of:
        key = (alike(one), one.cell.seed)
        here, there = take(one), others.get(key)
        if here is not None and there is not None:
            figures[key] = here - there
    return _balanced(figures, -1.0)


def _balanced(figures: Mapping[tuple[Hashable, int], Figure | None], least: float) -> Estimate | None:
    known = {key: one for key, one in figures.items() if one is not None and np.isfinite(one.value)}
    settings = dict.fromkeys(setting for setting, _ in known)
    seeds = sorted({seed for _, seed in known})
    whole = [seed for seed in seeds if all((setting, seed) in known for setting in settings)]
    if not whole:
        return None
    found = over_seeds([average([known[setting, seed] for setting in settings]) for seed in whole])
    if found.low is None or found.high is None:
        return found
    # With two seeds Student's t reaches far beyond what a figure can be.
    return replace(found, low=max(found.low, least), high=min(found.high, 1.0))


def setting(one: Scored) -> tuple[Hashable, ...]:
    """All that a student and a set have in common with the same of other seeds."""
    cell = one.cell
    about = (cell.handling_name, cell.answers, cell.size, cell.leave_out)
    return (*about, one.inference, one.by_itself, one.of.id)
