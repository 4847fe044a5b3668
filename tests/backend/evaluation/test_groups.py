"""Shares by group: counts by hand, intervals against SciPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from backend.db.engine import Database
from backend.db.models import EvaluationRow
from backend.evaluation.few import wilson
from backend.evaluation.groups import breakdown, in_words, percent, share_of
from backend.evaluation.judged import Judged
from backend.evaluation.set_service import SetService
from tests.backend.evaluation.build import add_yes_no_set
from tests.backend.evaluation.test_service import world


def yes_no(*posts: tuple[bool, bool]) -> Judged:
    """Posts as (breaks a rule, is flagged)."""
    positive, flagged = (np.array(column, dtype=bool) for column in zip(*posts, strict=True))
    nothing = np.zeros((len(posts), 0), dtype=bool)
    return Judged(np.arange(len(posts)), (), nothing, nothing, positive, flagged)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_are_scipys(counts: tuple[int, int]) -> None:
    hits, posts = counts
    there = binomtest(hits, posts).proportion_ci(method="wilson")
    found = wilson(hits / posts, posts)
    assert (found.low, found.high) == pytest.approx((there.low, there.high), abs=1e-9)


def test_posts_that_repeat_each_other_count_less() -> None:
    hits = np.array([True, False] * 10)
    alone = share_of(hits, np.arange(20))
    assert alone == share_of(hits)
    # Ten pairs are worth ten posts: 20² / (10 × 2²).
    pairs = share_of(hits, np.arange(20) // 2)
    assert pairs.interval == wilson(0.5, 10)
    assert (pairs.count, pairs.of, pairs.share) == (10, 20, 0.5)


def test_groups_stand_with_the_worst_first() -> None:
    judged = yes_no((True, True), (True, False), (False, True), (False, False), (False, False), (True, True))
    found = breakdown(judged, "kind", ["slur", "slur", "joke", "joke", "", "slur"])
    assert [group.name for group in found.groups] == ["joke", "slur", ""]
    joke, slur, unnamed = found.groups
    assert (joke.posts, joke.right.count, joke.false_alarms.count, joke.missed.share) == (2, 1, 1, None)
    assert (slur.posts, slur.right.count, slur.missed.count, slur.missed.of) == (3, 2, 1, 3)
    assert slur.false_alarms.of == 0
    assert (unnamed.right.share, unnamed.right.interval.low) == (1, pytest.approx(wilson(1, 1).low))
    assert (found.false_alarms.count, found.false_alarms.of) == (1, 3)
    assert (found.found.count, found.found.of) == (2, 3)


def test_over_flagging_is_said_in_words() -> None:
    found = breakdown(yes_no((False, True), (False, False), (True, True)), None, [])
    assert (found.groups, found.group_by) == ((), None)
    assert in_words(found) == (
        f"flags 50% ({percent(found.false_alarms)[5:-1]}) of 2 harmless posts and "
        "finds 100% (21 to 100) of 1 violation"
    )
    assert in_words(breakdown(yes_no((False, False)), None, [])) == "flags 0% (0 to 79) of 1 harmless post"
    assert in_words(breakdown(yes_no((True, True)).take(np.array([], dtype=int)), None, [])) == ""


def test_a_set_is_broken_down_by_its_column(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        posts = {"a": True, "b": False, "c": False, "d": True}
        found = add_yes_no_set(session, here.project, here.policy, list(posts.items()))
        scores = {"a": (0.9, 0.1), "b": (0.9, 0.1), "c": (0.1, 0.1), "d": (0.1, 0.1)}
        evaluation = here.ingest(found, scores)
        service = SetService(session)
        assert service.breakdown(evaluation.id).groups == ()
        for row, kind in zip(
            session.query(EvaluationRow).filter_by(set_id=found.id).order_by(EvaluationRow.id),
            ("one", 2, 2, None),
            strict=True,
        ):
            row.meta = {"kind": kind}
        found.group_by = "kind"
        session.flush()
        by = service.breakdown(evaluation.id)
        assert {group.name: (group.posts, group.right.count) for group in by.groups} == {
            "one": (1, 1),
            "2": (2, 1),
            "": (1, 0),
        }
        assert [group.name for group in by.groups] == ["", "2", "one"]
        assert (by.false_alarms.count, by.false_alarms.of, by.found.count, by.found.of) == (1, 2, 1, 2)


def test_a_set_of_categories_counts_other_labels_as_wrong(database: Database) -> None:
    with database.write() as session:
        here = world(session)
        frozen = here.frozen()
        said = {"t1": (0.1, 0.9), "t2": (0.1, 0.9), "t3": (0.9, 0.1), "t4": (0.1, 0.1), "t5": (0.1, 0.1)}
        by = SetService(session).breakdown(here.ingest(frozen, said).id)
        # t1 is flagged, if by the wrong category.
        assert (by.false_alarms.count, by.false_alarms.of, by.found.count, by.found.of) == (1, 2, 2, 3)
