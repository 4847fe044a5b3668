"""Posts of a set that nearly repeat posts that a student learned from.

A dataset version leaves out what nearly repeats a post of the sets and the test split that there
were when it was built. A set that came later can still have such posts: they are counted, and the
figures without them are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from backend.db.models import DatasetVersion, EvaluationSet
from backend.evaluation.comparison import share_text
from backend.evaluation.judged import Judged
from backend.evaluation.leak_repository import LearnedRepository
from backend.evaluation.metrics import measure
from backend.evaluation.results import Metrics
from backend.near_duplicates import Known


def learned_nearly(
    learned: LearnedRepository, evaluation_set: EvaluationSet, version: DatasetVersion
) -> tuple[int, ...]:
    """The keys of a set's posts that nearly repeat a training row of a dataset version, in order.

    Posts that the version was kept apart from when it was built are not looked at again.
    """
    apart = version.counts.get("apart_from", {"set_ids": (), "newest_item": 0})
    if evaluation_set.id in apart["set_ids"]:
        return ()
    posts = [
        post
        for post in learned.set_posts(evaluation_set.id)
        if post.item_id is None or post.item_id > apart["newest_item"]
    ]
    if not posts:
        return ()
    known = Known(post.text for post in posts)
    found: set[int] = set()
    for text in learned.taught(version.id):
        found.update(known.like(text))
    return tuple(
        post.row_id for post, place in zip(posts, known.places.tolist(), strict=True) if place in found
    )


def with_leaked(
    metrics: Metrics, judged: Judged, leaked: tuple[int, ...], *, learner: str, names: Mapping[str, str]
) -> Metrics:
    """The figures with what is to be said of posts that the model nearly knew.

    Args:
        metrics: of all posts.
        judged: what the model said of them.
        leaked: keys of these posts.
        learner: the model inside a sentence, as "run 2".
        names: the categories' names by code.
    """
    known = np.isin(judged.row_ids, leaked)
    if not known.any():
        return metrics
    others = measure(judged.take(~known), names=names, thresholds={}, of=metrics.of, resamples=1)
    figure, rest, whole = "F1 on any violation", others.any_violation.f1, metrics.any_violation.f1
    if metrics.codes:
        figure, rest, whole = "macro-F1", others.macro.f1, metrics.macro.f1
    one = known.sum() == 1
    repeat, them = ("repeats a post", "it") if one else ("repeat posts", "them")
    note = (
        f"{known.sum():,} of the {metrics.posts:,} posts nearly {repeat} that {learner} learned from; "
        f"without {them} {figure} is "
        f"{share_text(rest)} instead of {share_text(whole)}."
    )
    return replace(metrics, leaked=tuple(judged.row_ids[known].tolist()), notes=(note, *metrics.notes))
