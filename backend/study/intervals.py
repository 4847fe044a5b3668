"""How sure a difference between two settings is, which were each trained with several seeds.

A study asks what would come out with other posts and other seeds. Its figures are means over
seeds, so two things make them differ from what they would be in the long run:

- The posts of the evaluation set. The bootstrap of `backend.evaluation.bootstrap` draws them anew,
  near-duplicates together, the very same draws for every student, so that a difference between
  students is paired post by post. It gives the variance of the mean with these seeds held fast.
- The seeds. Theirs is the variance between the seeds' figures, divided by how many there are. Of a
  difference it is taken seed by seed, for a seed draws the same posts to learn in both settings.

The variances are added, and the interval is Student's t with the degrees of freedom of such a sum
(Satterthwaite 1946; the posts count as known, the seeds as one fewer than there are). To draw
three seeds again and again from the same three would pretend to know how far seeds lie apart:
such intervals of three seeds are far too narrow. What posts and seeds do only together is in both
variances, as in the pigeonhole bootstrap (Owen 2007), so the intervals are rather too wide than too
narrow. Of one seed alone nothing is known about seeds: the interval is then of posts only, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from backend.evaluation.judged import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """One figure of one student, or of several combined: its value and its bootstrap over posts.

    Attributes:
        value: on the posts as they are.
        samples: (resamples,) the same on posts drawn anew; NaN where a resample has none.
    """

    value: float
    samples: Floats

    def __sub__(self, other: Figure) -> Figure:
        return Figure(self.value - other.value, self.samples - other.samples)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds with its 95% interval; `p` is of the true value being none.

    The interval and p are None where the bootstrap has nothing to go by.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def average(figures: Sequence[Figure]) -> Figure:
    """The mean of figures of the same seed, or of several settings that count alike."""
    return Figure(
        float(np.mean([figure.value for figure in figures])),
        np.mean([figure.samples for figure in figures], axis=0),
    )


def over_seeds(by_seed: Sequence[Figure], level: float = 0.95) -> Estimate:
    """The mean over seeds, with an interval for other posts and other seeds (see the module).

    Args:
        by_seed: a figure, or a difference of two, for each seed; at least one.
        level: of the interval.
    """
    mean, seeds = average(by_seed), len(by_seed)
    known = mean.samples[np.isfinite(mean.samples)]
    if known.size < 2:
        return Estimate(mean.value, None, None, None, seeds)
    of_posts = float(np.var(known, ddof=1))
    of_seeds = float(np.var([one.value for one in by_seed], ddof=1)) / seeds if seeds > 1 else 0.0
    spread = (of_posts + of_seeds) ** 0.5
    if spread == 0:
        return Estimate(mean.value, mean.value, mean.value, None if mean.value == 0 else 0.0, seeds)
    freedom = (of_posts + of_seeds) ** 2 / (of_seeds**2 / (seeds - 1)) if of_seeds else np.inf
    half = float(student.ppf((1 + level) / 2, freedom)) * spread
    p = 2 * float(student.sf(abs(mean.value) / spread, freedom))
    return Estimate(mean.value, mean.value - half, mean.value + half, p, seeds)
