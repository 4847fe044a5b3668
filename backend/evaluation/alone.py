"""How many posts a model could decide without a person, at a precision that a team asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.bootstrap import RESAMPLES, interval, resampled_ratios
from backend.evaluation.few import of_share
from backend.evaluation.judged import Bools, Floats
from backend.evaluation.results import Alone

WANTED = (0.8, 0.9, 0.95, 0.99)
"""What a team may ask for: of the posts that are decided alone, this share right, on either side."""


@dataclass(frozen=True, slots=True)
class Band:
    """Posts below `low` pass and from `high` on are violations; between them a person decides.

    A side on which the precision cannot be had is left to people: `low` is 0, or `high` above 1.
    """

    low: float
    high: float

    @property
    def decides(self) -> bool:
        """Whether there can be a post that is decided alone."""
        return self.low > 0 or self.high <= 1


Bands = Mapping[float, Band]
"""The band for each precision that a team may ask for."""


def choose_bands(violation: Bools, scores: Floats) -> Bands:
    """The bands of `WANTED`; see `choose_band`."""
    return {wanted: choose_band(violation, scores, wanted) for wanted in WANTED}


def measure_bands(
    violation: Bools,
    scores: Floats | None,
    bands: Bands,
    clusters: NDArray[np.int64] | None = None,
    *,
    resamples: int = RESAMPLES,
) -> tuple[Alone, ...]:
    """What each band does, with intervals; nothing for a model without probabilities, or without posts.

    Args:
        violation, scores: (n,) as for `choose_band`.
        bands: as they were chosen.
        clusters: (n,) posts with the same number are near-duplicates.
        resamples: of the bootstrap.
    """
    if scores is None or not len(scores) or not bands:
        return ()
    measured = [measure_band(violation, scores, band, wanted) for wanted, band in bands.items()]
    flagged = np.column_stack([scores >= band.high for band in bands.values()])
    decided = flagged | np.column_stack([scores < band.low for band in bands.values()])
    right = decided & (flagged == violation[:, None])
    shares = resampled_ratios(decided, np.ones_like(decided), clusters, resamples=resamples)
    rights = resampled_ratios(right, decided, clusters, resamples=resamples)
    everything = np.ones(len(scores), dtype=bool)
    return tuple(
        replace(
            one,
            share_interval=of_share(interval(share), one.share, everything, clusters)
            if band.decides
            else interval(share),
            right_interval=of_share(interval(of_decided), one.right, alone, clusters),
        )
        for one, band, share, of_decided, alone in zip(
            measured, bands.values(), shares.T, rights.T, decided.T, strict=True
        )
        if one is not None
    )


def choose_band(violation: Bools, scores: Floats, precision: float) -> Band:
    """The narrowest band that leaves both sides right often enough, on the posts given.

    Choose on validation posts and measure on others: on the same posts it looks better than it is.

    Args:
        violation: (n,) whether a post breaks any rule.
        scores: (n,) the probability that it does; no NaN.
        precision: the share of right decisions that each side needs.
    """
    high = _least_sure(scores, violation, precision)
    low = _least_sure(-scores, ~violation, precision)
    if high is None or low is None or -low < high:
        # A post that is just as unlikely as the last that passes, passes too.
        return Band(0.0 if low is None else float(np.nextafter(-low, 2)), 2.0 if high is None else high)
    # Either side could take the posts between: they meet where the worse of the two is best.
    cuts = np.unique(scores[(scores >= high) & (scores <= -low)])
    cut = float(max(cuts, key=lambda cut: _worse_side(violation, scores >= cut)))
    return Band(cut, cut)


def _worse_side(violation: Bools, flagged: Bools) -> float:
    """The lower of how often flagged posts are violations and others are not; 1 where there are none."""
    sides = (violation[flagged], ~violation[~flagged])
    return min(float(side.mean()) if side.size else 1.0 for side in sides)


def _least_sure(sureness: Floats, right: Bools, precision: float) -> float | None:
    """The least sureness down to which decisions are right often enough; None where there is none.

    Args:
        sureness: (n,) posts as sure as each other are decided together.
        right: (n,) whether the decision would be right.
    """
    order = np.argsort(-sureness, kind="stable")
    ranked = sureness[order]
    last = np.append(ranked[1:] != ranked[:-1], [True] * bool(len(ranked)))
    shares = np.cumsum(right[order]) / np.arange(1, len(ranked) + 1)
    enough = np.flatnonzero(last.astype(bool) & (shares >= precision))
    return float(ranked[enough[-1]]) if enough.size else None


def measure_band(violation: Bools, scores: Floats, band: Band, precision: float) -> Alone | None:
    """What the band does on posts that it was not chosen on; None without posts.

    Args:
        violation, scores: (n,) as for `choose_band`.
        band: as it was chosen.
        precision: what was asked for.
    """
    if not len(scores):
        return None
    flagged, passed = scores >= band.high, scores < band.low
    decided = flagged | passed
    right = (flagged & violation) | (passed & ~violation)
    return Alone(
        wanted=precision,
        low=band.low,
        high=band.high,
        share=float(decided.mean()),
        right=float(right.sum() / decided.sum()) if decided.any() else None,
    )
