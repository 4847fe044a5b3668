"""Sending posts that models got wrong to review, each with one that they got right.

Corrected where a student is wrong and nowhere else, the labels of a test set would move towards
that student. So every such post goes along with a random one that the student got right, and the
reviewer is not told which is which: both were sent back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from backend.evaluation.sending_repository import SendingRepository
from backend.review.service import ReviewService


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent.

    Attributes:
        item_ids: of the posts that were asked for and did not wait already.
        wrong: how many of these a model got wrong.
        right: how many went along that the models got right; fewer than `wrong` where no more are left.
    """

    item_ids: tuple[int, ...]
    wrong: int
    right: int


def sendable(session: Session, evaluation_ids: Sequence[int], row_ids: Sequence[int]) -> int:
    """How many of these posts are items that do not wait in review already."""
    return len(SendingRepository(session).sendable(evaluation_ids, row_ids))


def would_send(session: Session, evaluation_ids: Sequence[int], row_ids: Sequence[int]) -> Sent:
    """What `send_to_review` would send."""
    return _chosen(session, evaluation_ids, row_ids)[0]


def send_item(session: Session, review: ReviewService, item_id: int) -> Sent:
    """Put one post before all others into the review queue, whichever split it is of.

    A test post is sent as `send_to_review` sends it, looking at what the champion said of it, or the
    model that was evaluated last. It goes alone where no model was evaluated on it.
    """
    judged = SendingRepository(session).judged(item_id)
    if judged is not None:
        return send_to_review(session, review, [judged.evaluation_id], [judged.row_id])
    review.send_back([item_id])
    return Sent((item_id,), wrong=0, right=0)


def send_to_review(
    session: Session, review: ReviewService, evaluation_ids: Sequence[int], row_ids: Sequence[int]
) -> Sent:
    """Put posts of a set before all others into the review queue.

    With each that one of the models got wrong goes a random one that all of them got right, that
    does not wait already and that nobody judged since the set was frozen. The same posts sent in
    the same order take the same ones along. Where none is left, posts go alone: then every post
    that was got right is looked at, and those that were got wrong no more often than they.

    A post that all models got right goes alone, too. Posts that are no items, as those of an
    imported set, stay.

    Args:
        session: a writing transaction.
        review: of the person who sends.
        evaluation_ids: of the models that are looked at, on one set.
        row_ids: the posts.
    """
    sent, along = _chosen(session, evaluation_ids, row_ids)
    review.send_back([*sent.item_ids, *along])
    return sent


def _chosen(
    session: Session, evaluation_ids: Sequence[int], row_ids: Sequence[int]
) -> tuple[Sent, Sequence[int]]:
    """What is sent, and the items that go along."""
    repository = SendingRepository(session)
    asked = repository.sendable(evaluation_ids, row_ids)
    wrong = sum(not post.right for post in asked)
    others = repository.right_everywhere(evaluation_ids, but=[post.row_id for post in asked])
    random = np.random.default_rng([*evaluation_ids, *(post.row_id for post in asked)])
    along = [others[place] for place in random.permutation(len(others))[:wrong]]
    return Sent(tuple(post.item_id for post in asked), wrong, len(along)), along
