"""How often a model is right in each group of a set's posts, and how often it flags harmless ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.few import effective_posts, wilson
from backend.evaluation.judged import Bools, Judged
from backend.evaluation.results import Interval
from backend.text import things


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some posts. `share` is None where there are none of them."""

    count: int
    of: int
    share: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The posts of one group.

    Attributes:
        name: what the column says; empty for posts of which it says nothing.
        right: posts of which all is right.
        false_alarms: harmless posts that are flagged.
        missed: violations that are not.
    """

    name: str
    posts: int
    right: Share
    false_alarms: Share
    missed: Share


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where a model is right on a set.

    Attributes:
        group_by: the column that groups the posts; None where none does.
        groups: the worst first.
        false_alarms: harmless posts of the whole set that are flagged: over-flagging.
        found: violations of the whole set that are flagged.
    """

    group_by: str | None
    groups: tuple[Group, ...]
    false_alarms: Share
    found: Share

    @property
    def one_kind(self) -> bool:
        """Whether all posts are harmless or all are violations, so that most figures cannot be had."""
        return not (self.false_alarms.of and self.found.of)


def breakdown(judged: Judged, group_by: str | None, names: Sequence[str]) -> Breakdown:
    """Count what is right, group by group.

    Args:
        judged: n posts.
        group_by: the column.
        names: (n,) each post's group; none at all where the set has no groups.
    """
    groups = [
        _group(name, judged.take(np.array([each == name for each in names], dtype=bool)))
        for name in sorted(set(names))
    ]
    harmless = judged.take(~judged.violations)
    violations = judged.take(judged.violations)
    return Breakdown(
        group_by=group_by,
        groups=tuple(sorted(groups, key=lambda group: (group.right.share or 0, -group.posts))),
        false_alarms=share_of(harmless.alarms, harmless.clusters),
        found=share_of(violations.alarms, violations.clusters),
    )


def _group(name: str, judged: Judged) -> Group:
    harmless, violations = judged.take(~judged.violations), judged.take(judged.violations)
    return Group(
        name=name,
        posts=len(judged),
        right=share_of(judged.right, judged.clusters),
        false_alarms=share_of(harmless.alarms, harmless.clusters),
        missed=share_of(~violations.alarms, violations.clusters),
    )


def share_of(hits: Bools, clusters: NDArray[np.int64] | None = None) -> Share:
    """The share of posts that are hit, with Wilson's 95% interval of as many posts as they are worth.

    Args:
        hits: (n,).
        clusters: (n,) posts with the same number are near-duplicates.
    """
    count, of = int(hits.sum()), len(hits)
    if not of:
        return Share(0, 0)
    share = count / of
    return Share(count, of, share, wilson(share, effective_posts(np.ones(of, dtype=bool), clusters)))


def in_words(found: Breakdown) -> str:
    """How much is flagged of what is harmless and of what is not: all that some sets can say."""
    said = []
    if found.false_alarms.of:
        said.append(
            f"flags {percent(found.false_alarms)} of {things(found.false_alarms.of, 'harmless post')}"
        )
    if found.found.of:
        said.append(f"finds {percent(found.found)} of {things(found.found.of, 'violation')}")
    return " and ".join(said)


def percent(share: Share) -> str:
    """A share with its interval: "23% (18 to 29)"; "–" where there is none."""
    if share.share is None or share.interval is None:
        return "–"
    return f"{share.share:.0%} ({100 * share.interval.low:.0f} to {100 * share.interval.high:.0f})"
