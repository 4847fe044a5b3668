"""Review from the first post to the last, on both databases."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import Item, Judgement, PolicyVersion, Project
from backend.db.models.content import Agreement, Queue, Split
from backend.db.models.review import Source, Verdict
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.items.repository import ItemRepository
from backend.policies.service import PolicyService
from backend.review.service import ReviewService
from tests.backend.build import add_answer, add_item, add_judgement, add_project, add_teacher_run
from training.policy import Category


def review(session: Session, person: str = "ada", *, browser: str | None = None, minutes: float = 15):
    return ReviewService(session, person=person, browser=browser or f"{person}-1", lease_minutes=minutes)


def fill(database: Database) -> tuple[int, dict[str, int]]:
    """Items by name: two that differ, one that nobody decided on, one that agrees, two without answer."""
    with database.write() as session:
        project, policy = add_project(session)
        run = add_teacher_run(session, project, policy)
        ids: dict[str, int] = {}
        for name, labels, gold in (
            ("agrees", ("scam",), ("scam",)),
            ("undecided", (), None),
            ("alarm", ("scam",), ()),
            ("missed", (), ("hate",)),
        ):
            item = add_item(session, project, f"post {name}")
            add_answer(session, run, item, labels, analysis=f"why {name}", harmful=("post",))
            if gold is not None:
                add_judgement(session, policy, item, gold, reason=f"gold {name}")
            ids[name] = item.id
        for name in ("bare", "unreadable"):
            ids[name] = add_item(session, project, f"post {name}").id
        add_answer(session, run, session.get_one(Item, ids["unreadable"]), None)
        ItemRepository(session).refresh(ids.values())
    return project.id, ids


def drain(database: Database, project_id: int, queue: Queue = Queue.TEACHER) -> list[tuple[int, str]]:
    seen = []
    while True:
        with database.write() as session:
            service = review(session)
            item = service.next(project_id, queue)
            if item is None:
                return seen
            seen.append((item.id, item.why))
            service.decide(item.id, Verdict.DISCARD)


def test_what_differs_comes_first_and_what_was_sent_back_before_it(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        assert review(session).send_back([ids["agrees"], ids["agrees"], 10**9]) == 1
        assert review(session).send_back([ids["agrees"]]) == 0
    assert drain(database, project_id) == [
        (ids["agrees"], "sent back"),
        (ids["alarm"], "disagrees with gold"),
        (ids["missed"], "disagrees with gold"),
        (ids["undecided"], "nobody has decided on it"),
    ]
    assert drain(database, project_id, Queue.SCRATCH) == [
        (ids["bare"], "the teacher has not answered"),
        (ids["unreadable"], "the teacher's answer could not be read"),
    ]


def test_of_what_differs_and_of_the_rest_test_posts_come_last(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        for name in ("alarm", "undecided"):
            session.get_one(Item, ids[name]).split = Split.TEST
        ItemRepository(session).refresh(ids.values())
    assert [item_id for item_id, _ in drain(database, project_id)] == [
        ids["missed"],
        ids["alarm"],
        ids["undecided"],
        ids["agrees"],
    ]


def test_an_item_comes_with_everything_to_judge_it_by(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        answer = session.get_one(Item, ids["alarm"]).answer_id
        item = review(session).next(project_id)
        assert item is not None and item.answer is not None
        assert (item.id, item.text, item.agreement) == (ids["alarm"], "post alarm", Agreement.FALSE_ALARM)
        assert (item.answer.id, item.answer.labels, item.answer.analysis) == (answer, ("scam",), "why alarm")
        assert (item.answer.harmful, item.answer.model) == (("post",), "teacher-1")
        assert item.answer.policy_version == 1
        assert (item.gold_labels, item.gold_reason, item.recheck, item.earlier) == (
            (),
            "gold alarm",
            None,
            None,
        )
        assert (item.position, item.progress.total, item.progress.left) == (1, 2, 4)
        bare = review(session, browser="other").next(project_id, Queue.SCRATCH)
        assert bare is not None
        assert (bare.answer, bare.gold_labels, bare.gold_reason) == (None, None, None)


def test_the_recheck_is_of_the_same_conversation(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        project = session.get_one(Project, project_id)
        policy = session.scalars(select(PolicyVersion)).one()
        item = session.get_one(Item, ids["alarm"])
        add_answer(session, add_teacher_run(session, project, policy), item, ("hate",), round=1)
        shown = review(session).next(project_id)
        assert shown is not None and shown.recheck is None
    with database.write() as session:
        item = session.get_one(Item, ids["alarm"])
        run = add_teacher_run(
            session, session.get_one(Project, project_id), session.scalars(select(PolicyVersion)).one()
        )
        add_answer(session, run, item, ("scam",))
        add_answer(session, run, item, (), round=1, analysis="on second thought")
        ItemRepository(session).refresh([item.id])
        shown = review(session).next(project_id)
        assert shown is not None and shown.recheck is not None
        assert (shown.recheck.labels, shown.recheck.analysis) == ((), "on second thought")


def test_the_same_browser_gets_its_item_again_and_another_the_next(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        first = review(session).next(project_id)
    with database.write() as session:
        again = review(session).next(project_id)
        other_tab = review(session, browser="ada-2").next(project_id)
        other = review(session, "bo").next(project_id)
    assert [found.id for found in (first, again, other_tab, other) if found] == [
        ids["alarm"],
        ids["alarm"],
        ids["missed"],
        ids["undecided"],
    ]
    with database.write() as session:
        review(session).release()
        found = review(session, "cy").next(project_id)
        assert found is not None and found.id == ids["alarm"]


def test_a_browser_holds_one_item_at_a_time(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        review(session).next(project_id)
        review(session).next(project_id, Queue.SCRATCH)
        found = review(session, "bo").next(project_id)
        assert found is not None and found.id == ids["alarm"]


def test_each_verdict_is_kept_and_takes_the_item_out_of_the_queue(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        saved = review(session).decide(
            ids["alarm"], Verdict.WRONG_LABELS, labels=["hate"], reason="why", harmful=["alarm"]
        )
        review(session).decide(ids["missed"], Verdict.RIGHT)
        review(session).decide(ids["undecided"], Verdict.BAD_REASON, reason="better")
        review(session).decide(ids["bare"], Verdict.FROM_SCRATCH, labels=[])
        review(session).decide(ids["agrees"], Verdict.CANNOT_TELL)
    with database.read() as session:
        item = session.get_one(Item, ids["alarm"])
        judgement = session.get_one(Judgement, saved.judgement_id)
        assert (judgement.source, judgement.person, judgement.answer_id) == (
            Source.REVIEW,
            "ada",
            item.answer_id,
        )
        assert (judgement.labels, judgement.reason, judgement.harmful) == (("hate",), "why", ("alarm",))
        assert (item.decision_id, item.agreement, item.queue) == (judgement.id, Agreement.OTHER_LABELS, None)
        assert session.get_one(Item, ids["missed"]).agreement is Agreement.AGREES
        assert session.get_one(Item, ids["agrees"]).agreement is Agreement.DROPPED
        assert session.get_one(Item, ids["bare"]).agreement is Agreement.UNANSWERED
        progress = review(session).progress(project_id)
        assert (progress.done, progress.left, progress.differing_left, progress.more) == (4, 0, 0, False)
        scratch = review(session).progress(project_id, Queue.SCRATCH)
        assert (scratch.done, scratch.left) == (1, 1)


def test_what_was_dropped_counts_for_the_queue_that_it_came_from(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        review(session).decide(ids["unreadable"], Verdict.DISCARD)
        review(session).decide(ids["alarm"], Verdict.DISCARD)
        assert review(session).progress(project_id, Queue.SCRATCH).done == 1
        assert review(session).progress(project_id, Queue.TEACHER).done == 1


def test_a_refused_decision_changes_nothing(database: Database) -> None:
    project_id, ids = fill(database)
    with pytest.raises(InvalidInputError), database.write() as session:
        review(session).decide(ids["bare"], Verdict.RIGHT)
    with pytest.raises(InvalidInputError), database.write() as session:
        other = session.get_one(Item, ids["missed"]).answer_id
        review(session).decide(ids["alarm"], Verdict.RIGHT, answer_id=other)
    with pytest.raises(NotFoundError), database.write() as session:
        review(session).decide(10**9, Verdict.RIGHT)
    with database.read() as session:
        assert review(session).progress(project_id).done == 0


def test_the_answer_that_was_shown_is_judged_not_a_newer_one(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        shown = review(session).next(project_id)
        assert shown is not None and shown.answer is not None
    with database.write() as session:
        project, policy = session.get_one(Project, project_id), session.scalars(select(PolicyVersion)).one()
        newer = add_teacher_run(session, project, policy)
        add_answer(session, newer, session.get_one(Item, shown.id), ("hate",))
        ItemRepository(session).refresh([shown.id])
    with database.write() as session:
        saved = review(session).decide(shown.id, Verdict.RIGHT, answer_id=shown.answer.id)
        assert session.get_one(Judgement, saved.judgement_id).labels == ("scam",)
        assert session.get_one(Item, ids["alarm"]).agreement is Agreement.OTHER_LABELS


def test_a_button_pressed_twice_saves_once(database: Database) -> None:
    _, ids = fill(database)
    with database.write() as session:
        first = review(session).decide(ids["alarm"], Verdict.RIGHT)
    with database.write() as session:
        assert review(session).decide(ids["alarm"], Verdict.RIGHT) == first
    with pytest.raises(ConflictError), database.write() as session:
        review(session).decide(ids["alarm"], Verdict.DISCARD)
    with pytest.raises(ConflictError, match="ada judged"), database.write() as session:
        review(session, "bo").decide(ids["alarm"], Verdict.RIGHT)
    with database.read() as session:
        assert len(session.scalars(select(Judgement).where(Judgement.item_id == ids["alarm"])).all()) == 2


def test_an_expired_lease_goes_to_another_and_the_late_decision_is_refused(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        late = review(session, minutes=0).next(project_id)
        assert late is not None
    with database.write() as session:
        other = review(session, "bo").next(project_id)
        assert other is not None and other.id == late.id
    with pytest.raises(ConflictError, match="bo has this post open"), database.write() as session:
        review(session).decide(late.id, Verdict.RIGHT)
    with database.write() as session:
        review(session, "bo").decide(late.id, Verdict.DISCARD)
    with pytest.raises(ConflictError, match="bo judged"), database.write() as session:
        review(session).decide(late.id, Verdict.RIGHT)
    with database.write() as session:
        found = review(session).next(project_id)
        assert found is not None and found.id == ids["missed"]


def test_a_late_decision_counts_where_nobody_else_took_the_item(database: Database) -> None:
    project_id, _ = fill(database)
    with database.write() as session:
        late = review(session, minutes=0).next(project_id)
        assert late is not None
    with database.write() as session:
        assert review(session).decide(late.id, Verdict.RIGHT)
    with database.write() as session:
        mine = review(session, minutes=0).next(project_id)
        assert mine is not None
    with database.write() as session:
        again = review(session).next(project_id)
        assert again is not None and again.id == mine.id


def test_undo_gives_the_item_back_next(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        assert review(session).undo(project_id) is None
        first = review(session).next(project_id)
        assert first is not None
        review(session).decide(first.id, Verdict.RIGHT)
        second = review(session).next(project_id)
        assert second is not None
    with database.write() as session:
        undone = review(session).undo(project_id)
        assert undone is not None
        assert (undone.item_id, undone.queue) == (ids["alarm"], Queue.TEACHER)
    with database.write() as session:
        assert session.get_one(Item, ids["alarm"]).agreement is Agreement.FALSE_ALARM
        again = review(session).next(project_id)
        assert again is not None and (again.id, again.position) == (first.id, 1)
        other = review(session, "bo").next(project_id)
        assert other is not None and other.id == second.id
        assert review(session).undo(project_id) is None


def test_undo_goes_back_one_by_one_and_only_through_ones_own(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        review(session).decide(ids["alarm"], Verdict.RIGHT)
        review(session).decide(ids["bare"], Verdict.FROM_SCRATCH, labels=["scam"])
        review(session, "bo").decide(ids["missed"], Verdict.RIGHT)
    undone = []
    for _ in range(3):
        with database.write() as session:
            undone.append(review(session).undo(project_id))
    assert [one and (one.item_id, one.queue) for one in undone] == [
        (ids["bare"], Queue.SCRATCH),
        (ids["alarm"], Queue.TEACHER),
        None,
    ]


def test_undo_of_what_was_sent_back_brings_back_the_earlier_judgement(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        earlier = review(session).decide(ids["alarm"], Verdict.RIGHT)
        review(session).send_back([ids["alarm"]])
        shown = review(session).next(project_id)
        assert shown is not None and shown.earlier is not None
        assert (shown.earlier.verdict, shown.earlier.labels) == (Verdict.RIGHT, ("scam",))
        later = review(session).decide(ids["alarm"], Verdict.DISCARD)
        assert session.get_one(Judgement, later.judgement_id).supersedes_id == earlier.judgement_id
        assert not session.get_one(Item, ids["alarm"]).sent_back
    with database.write() as session:
        undone = review(session).undo(project_id)
        item = session.get_one(Item, ids["alarm"])
        assert undone is not None and undone.item_id == item.id
        assert (item.decision_id, item.queue, item.queue_rank) == (earlier.judgement_id, Queue.TEACHER, 0)


def test_undo_leaves_alone_what_another_has_judged_or_opened_since(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        review(session).decide(ids["alarm"], Verdict.RIGHT)
        review(session).send_back([ids["alarm"]])
        opened = review(session, "bo").next(project_id)
        assert opened is not None and opened.id == ids["alarm"]
    with pytest.raises(ConflictError, match="bo has this post open"), database.write() as session:
        review(session).undo(project_id)
    with database.write() as session:
        review(session, "bo").decide(ids["alarm"], Verdict.DISCARD)
    with pytest.raises(ConflictError, match="bo judged this post after you"), database.write() as session:
        review(session).undo(project_id)


def test_undo_does_not_reach_behind_a_policy_change_that_moved_its_labels(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        review(session).decide(ids["alarm"], Verdict.RIGHT)
        fraud = Category(code="fraud", name="Fraud")
        hate = Category(code="hate", name="Hate")
        PolicyService(session).create_version(
            project_id, [hate, fraud], person="lead", fates={"scam": "fraud"}
        )
    with database.write() as session:
        assert review(session).undo(project_id) is None
        assert session.get_one(Item, ids["alarm"]).verdict == Verdict.RIGHT
