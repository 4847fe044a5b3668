"""Derived columns follow answers and judgements, on both databases."""

from sqlalchemy import select

from backend.db.engine import Database
from backend.db.models import Item, ItemLabel, Judgement, TeacherAnswer
from backend.db.models.content import Agreement, Queue
from backend.db.models.review import Source, Verdict
from backend.items.repository import ItemRepository
from tests.backend.build import add_item, add_project, add_teacher_run


def test_refresh_writes_state_and_labels(database: Database) -> None:
    with database.write() as session:
        project, policy = add_project(session, codes=("hate", "scam"))
        item = add_item(session, project, "one")
        run = add_teacher_run(session, project, policy)
        session.add(TeacherAnswer(run_id=run.id, item_id=item.id, labels=()))
        session.add(
            Judgement(
                item_id=item.id,
                policy_version_id=policy.id,
                source=Source.GOLD,
                person="import",
                labels=("scam",),
            )
        )
        ItemRepository(session).refresh([item.id])
        assert item.agreement is Agreement.MISSED
        assert item.queue is Queue.TEACHER
        assert session.scalars(select(ItemLabel.code)).all() == ["scam"]

        session.add(
            Judgement(
                item_id=item.id,
                policy_version_id=policy.id,
                source=Source.REVIEW,
                person="ada",
                verdict=Verdict.RIGHT,
                labels=(),
            )
        )
        ItemRepository(session).refresh([item.id])
    with database.read() as session:
        stored = session.scalars(select(Item)).one()
        assert stored.agreement is Agreement.AGREES
        assert stored.verdict == Verdict.RIGHT
        assert stored.queue is None
        assert session.scalars(select(ItemLabel.code)).all() == []


def test_a_readable_answer_is_preferred_to_a_newer_unreadable_one(database: Database) -> None:
    with database.write() as session:
        project, policy = add_project(session, codes=("scam",))
        item = add_item(session, project, "one")
        first = add_teacher_run(session, project, policy)
        second = add_teacher_run(session, project, policy)
        session.add(TeacherAnswer(run_id=first.id, item_id=item.id, labels=("scam",)))
        session.add(TeacherAnswer(run_id=second.id, item_id=item.id, labels=None, error="no parts found"))
        ItemRepository(session).refresh([item.id])
        assert item.agreement is Agreement.UNVERIFIED
