"""The policies' SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import Select, Text, cast, func, insert, or_, select, update
from sqlalchemy.orm import Session, selectinload

from backend.db import models
from backend.db.models import Item, ItemLabel, Judgement, PolicyVersion, TeacherAnswer
from backend.db.models.review import Verdict
from backend.items.decision import Said
from backend.items.repository import ItemRepository
from backend.policies.fates import Carried
from training.policy import Category

# SQLite takes at most 32,766 values in one statement.
_CHUNK = 2_000


class PolicyRepository:
    """Reads policy versions and adds new ones; nothing here changes an old one."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def newest(self, project_id: int) -> PolicyVersion | None:
        """The version that counts now, with its categories."""
        return self._session.scalars(_versions(project_id).limit(1)).one_or_none()

    def versions(self, project_id: int) -> list[PolicyVersion]:
        """All versions with their categories, newest first."""
        return list(self._session.scalars(_versions(project_id)))

    def get(self, version_id: int) -> PolicyVersion | None:
        """One version with its categories."""
        found = select(PolicyVersion).where(PolicyVersion.id == version_id)
        return self._session.scalars(found.options(selectinload(PolicyVersion.categories))).one_or_none()

    def add(
        self, project_id: int, number: int, categories: Sequence[Category], *, note: str, person: str
    ) -> PolicyVersion:
        """Add a version."""
        rows = [
            models.Category(
                position=position,
                code=category.code,
                name=category.name,
                definition=category.definition,
                examples=category.examples,
            )
            for position, category in enumerate(categories)
        ]
        version = PolicyVersion(
            project_id=project_id, number=number, note=note, created_by=person, categories=rows
        )
        self._session.add(version)
        self._session.flush()
        return version

    def decided(self, project_id: int) -> dict[str, int]:
        """How many items people gave each category."""
        rows = self._session.execute(
            select(ItemLabel.code, func.count())
            .where(ItemLabel.project_id == project_id)
            .group_by(ItemLabel.code)
        )
        return {code: int(count) for code, count in rows}

    def answered(self, project_id: int) -> list[tuple[tuple[str, ...] | None, tuple[str, ...] | None, int]]:
        """The teacher's labels, people's labels, and how many items have this pair.

        There are few different sets of labels however many the items, so the database counts.
        """
        rows = self._session.execute(
            select(TeacherAnswer.labels, Judgement.labels, func.count())
            .select_from(Item)
            .join(TeacherAnswer, TeacherAnswer.id == Item.answer_id)
            .outerjoin(Judgement, Judgement.id == Item.decision_id)
            .where(Item.project_id == project_id)
            .group_by(TeacherAnswer.labels, Judgement.labels)
        )
        return [(teacher, people, count) for teacher, people, count in rows]

    def naming(self, project_id: int, codes: Sequence[str]) -> Iterator[dict[int, list[Said]]]:
        """All judgements of the items of which any judgement names one of the codes, in chunks."""
        labels = cast(Judgement.labels, Text)
        found = self._session.scalars(
            select(Judgement.item_id)
            .distinct()
            .join(Item, Item.id == Judgement.item_id)
            .where(
                Item.project_id == project_id,
                or_(*(labels.contains(f'"{code}"', autoescape=True) for code in codes)),
            )
        ).all()
        ids, items = iter(found), ItemRepository(self._session)
        while chunk := list(islice(ids, _CHUNK)):
            yield items.judgements(chunk)

    def carry(self, carried: Sequence[Carried], *, version: PolicyVersion, person: str) -> None:
        """Add mapped judgements, in the name of those who gave them, and withdrawals."""
        for start in range(0, len(carried), _CHUNK):
            chunk = carried[start : start + _CHUNK]
            before = {
                judgement.id: judgement
                for judgement in self._session.scalars(
                    select(Judgement).where(Judgement.id.in_([one.judgement_id for one in chunk]))
                )
            }
            rows = [_judgement(before[one.judgement_id], one, version.id, person) for one in chunk]
            self._session.execute(insert(Judgement).execution_options(render_nulls=True), rows)

    def send_back(self, item_ids: Sequence[int]) -> None:
        """Mark items that people must judge again."""
        for start in range(0, len(item_ids), _CHUNK):
            chunk = item_ids[start : start + _CHUNK]
            self._session.execute(update(Item).where(Item.id.in_(chunk)).values(sent_back=True))


def _versions(project_id: int) -> Select[PolicyVersion]:
    return (
        select(PolicyVersion)
        .where(PolicyVersion.project_id == project_id)
        .order_by(PolicyVersion.number.desc())
        .options(selectinload(PolicyVersion.categories))
    )


def _judgement(before: Judgement, carried: Carried, version_id: int, person: str) -> dict[str, object]:
    shared = {
        "item_id": before.item_id,
        "policy_version_id": version_id,
        "source": before.source,
        "answer_id": before.answer_id,
        "supersedes_id": before.id,
        "labels": carried.labels,
    }
    if carried.labels is None:
        return shared | {"person": person, "verdict": Verdict.WITHDRAWN, "reason": None, "harmful": ()}
    return shared | {
        "person": before.person,
        "verdict": before.verdict,
        "reason": before.reason,
        "harmful": before.harmful,
    }
