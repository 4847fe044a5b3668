"""What a model said of posts beside what is right, as arrays; n posts, k categories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.db.models.evaluation import Outcome

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A model on a set of posts.

    Attributes:
        row_ids: (n,) the posts' keys, rising.
        codes: the k categories that are judged; none where the set knows yes and no only.
        gold: (n, k) whether a post has a category.
        named: (n, k) whether the model gives it.
        positive: (n,) whether a post breaks any rule.
        flagged: (n,) whether the model says so.
        scores: (n, k) probabilities; None for a model without.
        any_scores: (n,) probability of any violation; None for a model without.
        clusters: (n,) posts with the same number are near-duplicates; None where none are.
        unread: (n,) posts whose answer could not be read; None where all could. Such an answer is
            wrong throughout: it names no category, so what a post has is missed, and it flags a post just
            where that is wrong.
    """

    row_ids: NDArray[np.int64]
    codes: tuple[str, ...]
    gold: Bools
    named: Bools
    positive: Bools
    flagged: Bools
    scores: Floats | None = None
    any_scores: Floats | None = None
    clusters: NDArray[np.int64] | None = None
    unread: Bools | None = None

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def right(self) -> Bools:
        """(n,) whether all of a post is right: its categories, or the yes or no."""
        right = ~_any(self.gold ^ self.named) if self.codes else ~(self.positive ^ self.flagged)
        return right if self.unread is None else right & ~self.unread

    @property
    def right_in_each(self) -> Bools:
        """(n, k) whether a post has each category rightly, or rightly not."""
        right = ~(self.gold ^ self.named)
        return right if self.unread is None else right & ~self.unread[:, None]

    @property
    def violations(self) -> Bools:
        """(n,) whether a post breaks a rule, of those that are judged."""
        return _any(self.gold) if self.codes else self.positive

    @property
    def alarms(self) -> Bools:
        """(n,) whether the model says so, of the rules that are judged."""
        said = _any(self.named) if self.codes else self.flagged
        return said if self.unread is None else np.where(self.unread, ~self.violations, said)

    @property
    def duplicates(self) -> tuple[tuple[int, ...], ...]:
        """The keys of posts that are near-duplicates of each other, group by group."""
        if self.clusters is None:
            return ()
        _, cluster, sizes = np.unique(self.clusters, return_inverse=True, return_counts=True)
        groups = (self.row_ids[cluster == each] for each in np.flatnonzero(sizes > 1))
        return tuple(tuple(group.tolist()) for group in groups)

    @property
    def unread_posts(self) -> tuple[int, ...]:
        """The keys of posts whose answer could not be read."""
        return () if self.unread is None else tuple(self.row_ids[self.unread].tolist())

    def clustered(self, duplicates: Sequence[Sequence[int]]) -> Judged:
        """The same posts, those put together whose keys stand in one group; other keys count for nothing."""
        first = {key: group[0] for group in duplicates for key in group}
        return replace(
            self, clusters=np.array([first.get(key, key) for key in self.row_ids.tolist()], dtype=np.int64)
        )

    def take(self, rows: NDArray[Any]) -> Judged:
        """Some of the posts, by mask or position."""
        return replace(
            self,
            row_ids=self.row_ids[rows],
            gold=self.gold[rows],
            named=self.named[rows],
            positive=self.positive[rows],
            flagged=self.flagged[rows],
            scores=None if self.scores is None else self.scores[rows],
            any_scores=None if self.any_scores is None else self.any_scores[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
            unread=None if self.unread is None else self.unread[rows],
        )

    def over(self, codes: Sequence[str]) -> Judged:
        """The same posts judged over these of the categories only."""
        columns = [self.codes.index(code) for code in codes]
        return replace(
            self,
            codes=tuple(codes),
            gold=self.gold[:, columns],
            named=self.named[:, columns],
            scores=None if self.scores is None else self.scores[:, columns],
        )

    def outcomes(self) -> list[Outcome]:
        """How what the model said of each post stands to what is right."""
        return [_outcome(*of_post) for of_post in zip(self.right, self.violations, self.alarms, strict=True)]


def _any(categories: Bools) -> Bools:
    return np.asarray(categories.any(axis=1))


def _outcome(right: bool, violation: bool, said: bool) -> Outcome:
    if right:
        return Outcome.RIGHT
    if violation and said:
        return Outcome.OTHER_LABELS
    return Outcome.MISSED if violation else Outcome.FALSE_ALARM


def shared(a: Judged, b: Judged) -> tuple[Judged, Judged]:
    """Both on the posts that both were judged on, over the categories that both know."""
    codes = [code for code in a.codes if code in b.codes]
    _, in_a, in_b = np.intersect1d(a.row_ids, b.row_ids, assume_unique=True, return_indices=True)
    return a.take(in_a).over(codes), b.take(in_b).over(codes)


def all_shared(models: Sequence[Judged]) -> list[Judged]:
    """All on the posts that all were judged on, over the categories that all know."""
    rows = reduce(np.intersect1d, (model.row_ids for model in models))
    codes = [code for code in models[0].codes if all(code in model.codes for model in models)]
    return [model.take(np.isin(model.row_ids, rows)).over(codes) for model in models]


def membership(labels: Sequence[Iterable[str]], codes: Sequence[str]) -> Bools:
    """(n, k): whether each post's labels contain each code."""
    sets = [set(these) for these in labels]
    return np.array([[code in these for code in codes] for these in sets], dtype=bool).reshape(
        len(sets), len(codes)
    )
