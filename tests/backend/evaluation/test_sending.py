"""A post that a model got wrong goes to review with one that it got right, and only so."""

from collections.abc import Sequence

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import EvaluationRow, EvaluationSet, Item, PolicyVersion, Project
from backend.db.models.content import Queue, Split
from backend.db.models.evaluation import ModelKind
from backend.db.models.review import Verdict
from backend.evaluation.sending import Sent, send_item, send_to_review
from backend.evaluation.service import EvaluationService
from backend.review.service import ReviewService
from tests.backend.build import add_project
from tests.backend.evaluation.build import add_decided, add_yes_no_set, frame

POSTS = 10


def review(session: Session) -> ReviewService:
    return ReviewService(session, person="ada", browser="b", lease_minutes=1)


def fill(session: Session) -> tuple[Project, PolicyVersion, EvaluationSet]:
    """Ten test posts, all scams, and validation posts that set every threshold to .8."""
    project, policy = add_project(session)
    for number in range(POSTS):
        add_decided(session, project, policy, f"t{number}", ("scam",))
    for text, labels in (("v1", ("scam",)), ("v2", ())):
        add_decided(session, project, policy, text, labels, Split.VALIDATION)
    return project, policy, EvaluationService(session).freeze_test_split(project.id, "ada")


def judge(session: Session, of: EvaluationSet, policy: PolicyVersion, wrong: Sequence[str]) -> int:
    """Store what a model said: it misses these."""
    validation = dict(session.execute(select(Item.text, Item.id).where(Item.split == Split.VALIDATION)).all())
    rows = session.execute(
        select(EvaluationRow.id, EvaluationRow.text).where(EvaluationRow.set_id == of.id)
    ).all()
    return (
        EvaluationService(session)
        .ingest(
            of.id,
            model_kind=ModelKind.BASE,
            model=f"misses {wrong}",
            policy_version_id=policy.id,
            prompt_hash="hash",
            validation=frame({validation["v1"]: (0.0, 0.8), validation["v2"]: (0.0, 0.2)}, ("hate", "scam")),
            predictions=frame(
                {row_id: (0.0, 0.1 if text in wrong else 0.9) for row_id, text in rows}, ("hate", "scam")
            ),
            person="ada",
        )
        .id
    )


def rows_of(session: Session, of: EvaluationSet, *texts: str) -> list[int]:
    found = select(EvaluationRow.id).where(EvaluationRow.set_id == of.id, EvaluationRow.text.in_(texts))
    return list(session.scalars(found))


def waiting(session: Session) -> set[str]:
    return set(session.scalars(select(Item.text).where(Item.sent_back)))


def test_a_wrong_post_takes_a_right_one_along_that_looks_the_same(database: Database) -> None:
    with database.write() as session:
        project, policy, of = fill(session)
        model = judge(session, of, policy, wrong=["t0", "t1"])
        sent = send_to_review(session, review(session), [model], rows_of(session, of, "t0"))
        assert (len(sent.item_ids), sent.wrong, sent.right) == (1, 1, 1)
        assert len(waiting(session)) == 2 and "t0" in waiting(session) and "t1" not in waiting(session)
        again = send_to_review(session, review(session), [model], rows_of(session, of, "t0"))
        assert (again.item_ids, again.wrong, again.right) == ((), 0, 0)
        shown = []
        for _ in range(2):
            item = review(session).next(project.id, Queue.SCRATCH)
            assert item is not None
            shown.append(item)
            review(session).decide(item.id, Verdict.FROM_SCRATCH, labels=["scam"])
        assert {item.why for item in shown} == {"sent back"}
        assert [item.id for item in shown] == sorted(item.id for item in shown)


def test_those_that_go_along_are_random_and_the_same_each_time(database: Database) -> None:
    with database.write() as session:
        _, policy, of = fill(session)
        model = judge(session, of, policy, wrong=["t0", "t1", "t2"])
        rows = rows_of(session, of, "t0", "t1", "t2")
        drawn = []
        for chosen in (rows[:1], rows[:1], rows[1:2], rows[2:], rows):
            with session.begin_nested() as attempt:
                send_to_review(session, review(session), [model], chosen)
                drawn.append(waiting(session) - {"t0", "t1", "t2"})
                attempt.rollback()
            session.expire_all()
    assert drawn[0] == drawn[1]
    assert [len(each) for each in drawn] == [1, 1, 1, 1, 3]
    assert len(set.union(*drawn)) > 3


def test_none_goes_along_twice_or_that_was_judged_since(database: Database) -> None:
    with database.write() as session:
        _, policy, of = fill(session)
        wrong = [f"t{number}" for number in range(6)]
        model = judge(session, of, policy, wrong=wrong)
        judged = session.scalars(select(Item).where(Item.text == "t9")).one()
        review(session).send_back([judged.id])
        review(session).decide(judged.id, Verdict.FROM_SCRATCH, labels=["scam"])
        right = 0
        for text in wrong[:3]:
            right += send_to_review(session, review(session), [model], rows_of(session, of, text)).right
        assert right == 3
        assert waiting(session) == {"t0", "t1", "t2", "t6", "t7", "t8"}
        # All that it got right are looked at, so the others are looked at no more often.
        alone = send_to_review(session, review(session), [model], rows_of(session, of, *wrong[3:]))
        assert (len(alone.item_ids), alone.wrong, alone.right) == (3, 3, 0)


def test_of_two_models_both_have_it_right(database: Database) -> None:
    with database.write() as session:
        _, policy, of = fill(session)
        a = judge(session, of, policy, wrong=["t0", "t1"])
        b = judge(session, of, policy, wrong=["t1", *(f"t{number}" for number in range(3, POSTS))])
        sent = send_to_review(session, review(session), [a, b], rows_of(session, of, "t0"))
        assert (sent.wrong, sent.right) == (1, 1)
        assert waiting(session) == {"t0", "t2"}
        both_right = send_to_review(session, review(session), [a], rows_of(session, of, "t3"))
        assert (len(both_right.item_ids), both_right.wrong, both_right.right) == (1, 0, 0)


def test_posts_that_are_no_items_stay(database: Database) -> None:
    with database.write() as session:
        project, policy, _ = fill(session)
        of = add_yes_no_set(session, project, policy, [("h1", True), ("h2", True)])
        model = judge(session, of, policy, wrong=["h1"])
        sent = send_to_review(session, review(session), [model], rows_of(session, of, "h1", "h2"))
        assert (sent.item_ids, sent.wrong, sent.right) == ((), 0, 0)


@pytest.mark.parametrize("wrong", [[], ["t0", "t0"]])
def test_nothing_or_one_post_twice(database: Database, wrong: list[str]) -> None:
    with database.write() as session:
        _, policy, of = fill(session)
        model = judge(session, of, policy, wrong=wrong)
        rows = rows_of(session, of, "t0")
        sent = send_to_review(session, review(session), [model], rows * len(wrong))
        assert (len(sent.item_ids), sent.right) == (len(set(wrong)), len(set(wrong)))


def test_a_test_post_sent_from_its_own_page_takes_one_along_too(database: Database) -> None:
    with database.write() as session:
        _, policy, of = fill(session)
        items = {item.text: item.id for item in session.scalars(select(Item))}
        assert send_item(session, review(session), items["t9"]) == Sent((items["t9"],), 0, 0), (
            "none is judged"
        )
        judge(session, of, policy, ["t0", "t1"])
        judge(session, of, policy, ["t0"])
        # The base model counts that was evaluated last: it got t1 right.
        assert send_item(session, review(session), items["t1"]) == Sent((items["t1"],), 0, 0)
        sent = send_item(session, review(session), items["t0"])
        assert (sent.item_ids, sent.wrong, sent.right) == ((items["t0"],), 1, 1)
        assert len(waiting(session)) == 4
        assert send_item(session, review(session), items["v1"]) == Sent((items["v1"],), 0, 0)
