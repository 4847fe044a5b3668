"""All SQL of the review room."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from backend.db.models import Category, Item, Judgement, Lease, PolicyVersion, TeacherAnswer, TeacherRun
from backend.db.models.content import Queue
from backend.db.models.review import Source, Verdict
from backend.items.decision import DIFFERING_RANK

# A queue longer than this is not counted to its end: at a million items that would take longer
# than everything else between two posts.
COUNT_UP_TO = 10_000

# What this session read before the lock may have changed since.
_AS_STORED = {"populate_existing": True}

_FROM_SCRATCH_ONLY = (Verdict.FROM_SCRATCH,)
_ON_AN_ANSWER_ONLY = (Verdict.RIGHT, Verdict.WRONG_LABELS, Verdict.BAD_REASON)
_ON_EITHER = (Verdict.CANNOT_TELL, Verdict.DISCARD)


class Given(NamedTuple):
    """An answer, the model that gave it, and the number of the policy version that it was asked under."""

    answer: TeacherAnswer
    model: str
    policy_version: int


class ReviewRepository:
    """Queues, leases and judgements in one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def own(self, browser: str, project_id: int, queue: Queue) -> int | None:
        """The item that this browser session has open, expired or not."""
        # Two steps, because SQLite would walk the whole queue to join it with a handful of leases.
        opened = self._session.scalars(select(Lease.item_id).where(Lease.session == browser)).all()
        if not opened:
            return None
        return self._session.scalar(
            select(Item.id)
            .where(Item.id.in_(opened), Item.project_id == project_id, Item.queue == queue)
            .limit(1)
        )

    def next_free(self, project_id: int, queue: Queue, now: datetime) -> int | None:
        """The first item of the queue that nobody has open."""
        return self._session.scalar(next_free_query(project_id, queue, now))

    def take(self, item_id: int, *, browser: str, person: str, now: datetime, until: datetime) -> bool:
        """Lease an item; False where another browser session was faster."""
        values = {"item_id": item_id, "session": browser, "person": person, "expires_at": until}
        # Both dialects have the same statement, each under its own name.
        insert: Any = postgresql.insert if self._dialect == "postgresql" else sqlite.insert
        statement = (
            insert(Lease)
            .values(**values)
            .on_conflict_do_update(
                index_elements=[Lease.item_id],
                set_={name: values[name] for name in ("session", "person", "expires_at")},
                where=(Lease.session == browser) | (Lease.expires_at <= now),
            )
            .returning(Lease.item_id)
        )
        return self._session.scalar(statement) is not None

    def lease(self, item_id: int) -> Lease | None:
        """Who has the item open, or had."""
        return self._session.scalar(
            select(Lease).where(Lease.item_id == item_id), execution_options=_AS_STORED
        )

    def drop_lease(self, item_id: int) -> None:
        """Nobody has the item open any more."""
        self._session.execute(delete(Lease).where(Lease.item_id == item_id))

    def drop_leases(self, browser: str, *, keep: int | None = None) -> None:
        """Give back what a browser session has open, but for one item."""
        statement = delete(Lease).where(Lease.session == browser)
        self._session.execute(statement if keep is None else statement.where(Lease.item_id != keep))

    def lock(self, item_id: int) -> Item | None:
        """An item that no other transaction changes until this one ends."""
        # SQLite has one writer at a time and needs no lock on a row.
        return self._session.scalar(
            select(Item).where(Item.id == item_id).with_for_update(key_share=True),
            execution_options=_AS_STORED,
        )

    def items(self, item_ids: Sequence[int]) -> list[Item]:
        """The items of these ids that exist, in order, locked."""
        return list(
            self._session.scalars(
                select(Item).where(Item.id.in_(item_ids)).order_by(Item.id).with_for_update(key_share=True),
                execution_options=_AS_STORED,
            )
        )

    def answer(self, answer_id: int) -> Given | None:
        """An answer, and how it came about."""
        row = self._session.execute(
            select(TeacherAnswer, TeacherRun.model, PolicyVersion.number)
            .join(TeacherRun, TeacherRun.id == TeacherAnswer.run_id)
            .join(PolicyVersion, PolicyVersion.id == TeacherRun.policy_version_id)
            .where(TeacherAnswer.id == answer_id)
        ).one_or_none()
        return None if row is None else Given(*row)

    def recheck(self, answer: TeacherAnswer) -> TeacherAnswer | None:
        """What the teacher said in the same conversation when told that this answer is wrong."""
        return self._session.scalar(
            select(TeacherAnswer).where(
                TeacherAnswer.run_id == answer.run_id,
                TeacherAnswer.item_id == answer.item_id,
                TeacherAnswer.round == 1,
            )
        )

    def judgements(self, item_id: int) -> list[Judgement]:
        """All judgements of an item, oldest first."""
        return list(
            self._session.scalars(
                select(Judgement).where(Judgement.item_id == item_id).order_by(Judgement.id)
            )
        )

    def last_by(self, person: str, project_id: int) -> Judgement | None:
        """The newest review of a person in a project that was not taken back."""
        return self._session.scalar(last_by_query(person, project_id))

    def add(self, judgement: Judgement) -> Judgement:
        """Store a judgement; it has its id afterwards."""
        self._session.add(judgement)
        self._session.flush()
        return judgement

    def policy(self, project_id: int) -> tuple[int, tuple[str, ...]]:
        """The newest policy version's id and category codes, in its order."""
        version = self._session.scalar(
            select(PolicyVersion.id)
            .where(PolicyVersion.project_id == project_id)
            .order_by(PolicyVersion.number.desc())
            .limit(1)
        )
        assert version is not None, "a project always has a policy"
        codes = self._session.scalars(
            select(Category.code).where(Category.policy_version_id == version).order_by(Category.position)
        )
        return version, tuple(codes)

    def waiting(self, project_id: int, queue: Queue, *, differing: bool = False) -> int:
        """How many items wait in a queue, counted up to one past `COUNT_UP_TO`."""
        waiting = select(literal(1)).where(Item.project_id == project_id, Item.queue == queue)
        if differing:
            waiting = waiting.where(Item.queue_rank <= DIFFERING_RANK)
        bounded = waiting.limit(COUNT_UP_TO + 1).subquery()
        return self._session.scalar(select(func.count()).select_from(bounded)) or 0

    def done(self, project_id: int, queue: Queue) -> int:
        """How many items people have judged whose decision came out of this queue."""
        verdicts = _ON_AN_ANSWER_ONLY if queue is Queue.TEACHER else _FROM_SCRATCH_ONLY
        judged = self._session.scalar(
            select(func.count()).where(Item.project_id == project_id, Item.verdict.in_(verdicts))
        )
        # Only the judgement itself knows whether there was an answer to see.
        seen = Judgement.answer_id.is_not(None) if queue is Queue.TEACHER else Judgement.answer_id.is_(None)
        dropped = self._session.scalar(
            select(func.count())
            .select_from(Item)
            .join(Judgement, Judgement.id == Item.decision_id)
            .where(Item.project_id == project_id, Item.verdict.in_(_ON_EITHER), seen)
        )
        return (judged or 0) + (dropped or 0)

    @property
    def _dialect(self) -> str:
        return self._session.get_bind().dialect.name


def next_free_query(project_id: int, queue: Queue, now: datetime) -> Select[int]:
    """Walks the queue's index in its order and stops at the first item without a live lease.

    On PostgreSQL it steps over items that another transaction is just handling. It can still see
    one as free whose lease was stored a moment later; only `take` says who has it.
    """
    leased = select(Lease.item_id).where(Lease.item_id == Item.id, Lease.expires_at > now)
    return (
        select(Item.id)
        .where(Item.project_id == project_id, Item.queue == queue, ~leased.exists())
        .order_by(Item.queue_rank, Item.id)
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True, of=Item)
    )


def last_by_query(person: str, project_id: int) -> Select[Judgement]:
    """Walks a person's judgements from the newest one back."""
    withdrawal = aliased(Judgement)
    withdrawn = select(withdrawal.id).where(
        withdrawal.item_id == Judgement.item_id,
        withdrawal.supersedes_id == Judgement.id,
        withdrawal.verdict == Verdict.WITHDRAWN,
    )
    return (
        select(Judgement)
        .join(Item, Item.id == Judgement.item_id)
        .where(
            Judgement.person == person,
            # Says the same as the line after it, in the words of the index.
            Judgement.verdict.is_not(None),
            Judgement.verdict != Verdict.WITHDRAWN,
            Judgement.source == Source.REVIEW,
            Item.project_id == project_id,
            ~withdrawn.exists(),
        )
        .order_by(Judgement.id.desc())
        .limit(1)
    )
