from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.engine import Database
from backend.db.models import Item, Project, TeacherRun
from backend.db.models.content import Split
from backend.db.models.review import Verdict
from backend.items.repository import ItemRepository
from backend.overview.service import OverviewService
from backend.overview.views import Standing
from backend.review.service import ReviewService
from tests.backend.build import add_answer, add_item, add_judgement, add_project, add_teacher_run


def fill(session: Session) -> Project:
    """Six posts: two agree, two differ, one unverified, one unanswered; one in the test split."""
    project, policy = add_project(session)
    run = add_teacher_run(session, project, policy)
    items: list[Item] = []
    for number, (gold, said) in enumerate(
        [((), ()), (("hate",), ("hate",)), ((), ("hate",)), (("scam",), ()), (None, ("scam",)), (None, None)]
    ):
        split = Split.TEST if number == 0 else Split.TRAIN
        item = add_item(session, project, f"Post {number}", split=split)
        items.append(item)
        if gold is not None:
            add_judgement(session, policy, item, gold)
        if said is not None:
            add_answer(session, run, item, said)
    ItemRepository(session).refresh(item.id for item in items)
    return project


def test_an_empty_project_stands_at_the_beginning(database: Database) -> None:
    with database.write() as session:
        project, _ = add_project(session)
        assert OverviewService(session).standing(project.id) == Standing()
        assert OverviewService(session).next_step(project.id).label == "Import posts"


def test_where_a_project_stands(database: Database) -> None:
    with database.write() as session:
        project = fill(session)
        standing = OverviewService(session).standing(project.id)
    assert (standing.items, standing.training, standing.test) == (6, 5, 1)
    assert (standing.answered, standing.differing, standing.unverified) == (5, 2, 1)
    assert (standing.invalid, standing.unanswered) == (0, 1)
    assert (standing.differing_left, standing.unverified_left, standing.scratch_left) == (2, 1, 1)
    assert (standing.reviewed, standing.version_number, standing.run_number) == (0, None, None)


def test_a_review_counts(database: Database) -> None:
    with database.write() as session:
        project = fill(session)
        review = ReviewService(session, person="tester", browser="here", lease_minutes=5)
        item = review.next(project.id)
        assert item is not None
        review.decide(item.id, Verdict.RIGHT)
        standing = OverviewService(session).standing(project.id)
    assert (standing.reviewed, standing.differing_left, standing.differing) == (1, 1, 1)


def test_what_people_drop_keeps_its_answer(database: Database) -> None:
    with database.write() as session:
        project = fill(session)
        review = ReviewService(session, person="tester", browser="here", lease_minutes=5)
        items = session.scalars(select(Item).order_by(Item.id)).all()
        add_answer(session, session.scalars(select(TeacherRun)).one(), items[-1], None)
        ItemRepository(session).refresh([items[-1].id])
        for item in items:
            review.decide(item.id, Verdict.DISCARD)
        standing = OverviewService(session).standing(project.id)
    assert (standing.answered, standing.invalid, standing.unanswered) == (5, 1, 0)


def test_a_post_sent_back_that_agrees_is_not_one_that_differs(database: Database) -> None:
    with database.write() as session:
        project = fill(session)
        review = ReviewService(session, person="tester", browser="here", lease_minutes=5)
        found = session.scalars(select(Item).where(Item.agreement.in_(["agrees", "missed"]))).all()
        assert review.send_back(item.id for item in found) == 3
        standing = OverviewService(session).standing(project.id)
    assert (standing.differing_left, standing.sent_back_left) == (2, 2)


def test_other_projects_do_not_count(database: Database) -> None:
    with database.write() as session:
        fill(session)
        other, _ = add_project(session, name="Other")
        assert OverviewService(session).standing(other.id) == Standing()


def test_the_base_model_is_champion_at_first(database: Database) -> None:
    with database.write() as session:
        project = fill(session)
        champion = OverviewService(session).champion(project.id)
    assert (champion.name, champion.row, champion.challenger) == ("Base model", None, None)
