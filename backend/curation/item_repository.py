"""The SQL of browsing: pages of items, and everything that happened to one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, or_, select
from sqlalchemy.orm import Session

from backend.curation.repository import EXCERPT
from backend.curation.views import (
    NONE,
    AnswerEntry,
    ImportedFrom,
    ItemFilter,
    ItemHistory,
    ItemRow,
    JudgementEntry,
    RunEntry,
    VersionEntry,
)
from backend.db.models import (
    DatasetRow,
    DatasetVersion,
    Import,
    Item,
    ItemLabel,
    Judgement,
    PolicyVersion,
    Run,
    TeacherAnswer,
    TeacherRun,
)
from backend.db.models.content import Agreement
from backend.db.models.review import Verdict

# What no index can count is counted up to here only.
COUNT_UP_TO = 100_000


class ItemListRepository:
    """Lists items without their texts, and opens one with its whole history."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def page(self, project_id: int, chosen: ItemFilter, *, after: int, limit: int) -> list[ItemRow]:
        """Items after an id, oldest first."""
        rows = self._session.execute(page_query(project_id, chosen, after=after, limit=limit))
        return [
            ItemRow(
                id=row.id,
                external_id=row.external_id,
                excerpt=" ".join(row.excerpt.split()),
                labels=row.labels,
                teacher_labels=row.teacher_labels,
                agreement=row.agreement,
                verdict=None if row.verdict is None else Verdict(row.verdict),
                split=row.split,
                source=row.source,
            )
            for row in rows
        ]

    def count(self, project_id: int, chosen: ItemFilter) -> int | None:
        """How many items a filter finds; None where that takes too long to count."""
        conditions = _conditions(project_id, chosen)
        if not chosen.search and chosen.category is None:
            return self._session.scalar(select(func.count()).select_from(Item).where(*conditions)) or 0
        bounded = select(literal(1)).select_from(Item).where(*conditions).limit(COUNT_UP_TO + 1).subquery()
        count = self._session.scalar(select(func.count()).select_from(bounded)) or 0
        return None if count > COUNT_UP_TO else count

    def sources(self, project_id: int) -> dict[str, int]:
        """Sources by name, with how many items come from each."""
        rows = self._session.execute(
            select(Item.source, func.count())
            .where(Item.project_id == project_id)
            .group_by(Item.source)
            .order_by(Item.source)
        )
        return dict(rows.all())

    def history(self, item_id: int) -> ItemHistory | None:
        """An item with everything that happened to it, or None."""
        item = self._session.get(Item, item_id)
        if item is None:
            return None
        versions = self._versions(item)
        return ItemHistory(
            id=item.id,
            external_id=item.external_id,
            text=item.text,
            split=item.split,
            source=item.source,
            meta=item.meta,
            held_out=item.held_out,
            waits=item.sent_back,
            agreement=item.agreement,
            created_at=item.created_at,
            imported=self._import(item.import_id),
            answers=self._answers(item_id),
            judgements=self._judgements(item),
            versions=versions,
            runs=self._runs([version.version_id for version in versions]),
        )

    def _import(self, import_id: int | None) -> ImportedFrom | None:
        found = self._session.get(Import, import_id) if import_id is not None else None
        return None if found is None else ImportedFrom(found.file_name, found.created_by, found.created_at)

    def _answers(self, item_id: int) -> list[AnswerEntry]:
        rows = self._session.execute(
            select(TeacherAnswer, TeacherRun.model)
            .join(TeacherRun, TeacherRun.id == TeacherAnswer.run_id)
            .where(TeacherAnswer.item_id == item_id)
            .order_by(TeacherAnswer.run_id, TeacherAnswer.round)
        )
        return [
            AnswerEntry(
                answer.id,
                answer.run_id,
                model,
                answer.round,
                answer.labels,
                answer.analysis,
                answer.harmful,
                answer.raw,
                answer.error,
                answer.created_at,
            )
            for answer, model in rows
        ]

    def _judgements(self, item: Item) -> list[JudgementEntry]:
        rows = self._session.execute(
            select(Judgement, PolicyVersion.number)
            .join(PolicyVersion, PolicyVersion.id == Judgement.policy_version_id)
            .where(Judgement.item_id == item.id)
            .order_by(Judgement.id)
        ).all()
        withdrawn = {said.supersedes_id for said, _ in rows if said.verdict is Verdict.WITHDRAWN}
        return [
            JudgementEntry(
                id=said.id,
                source=said.source,
                person=said.person,
                verdict=said.verdict,
                labels=said.labels,
                reason=said.reason,
                harmful=said.harmful,
                policy_version=number,
                withdrawn=said.id in withdrawn,
                stands=said.id == item.decision_id,
                at=said.created_at,
            )
            for said, number in rows
        ]

    def _versions(self, item: Item) -> list[VersionEntry]:
        rows = self._session.execute(
            select(
                DatasetVersion.id,
                DatasetVersion.number,
                DatasetVersion.handling,
                DatasetRow.split,
                DatasetRow.labels,
                DatasetRow.origin,
                DatasetRow.analysis.is_not(None),
            )
            .join(DatasetRow, DatasetRow.version_id == DatasetVersion.id)
            .where(DatasetVersion.project_id == item.project_id, DatasetRow.item_id == item.id)
            .order_by(DatasetVersion.number)
        )
        return [VersionEntry(*row[:-1], bool(row[-1])) for row in rows]

    def _runs(self, version_ids: list[int]) -> list[RunEntry]:
        rows = self._session.execute(
            select(Run.id, Run.number, DatasetVersion.number)
            .join(DatasetVersion, DatasetVersion.id == Run.dataset_version_id)
            .where(Run.dataset_version_id.in_(version_ids))
            .order_by(Run.number)
        )
        return [RunEntry(*row) for row in rows]


def page_query(project_id: int, chosen: ItemFilter, *, after: int, limit: int) -> Select[*tuple[Any, ...]]:
    """One page of items; of each text only its beginning leaves the database."""
    return (
        select(
            Item.id,
            Item.external_id,
            func.substr(Item.text, 1, EXCERPT).label("excerpt"),
            Judgement.labels.label("labels"),
            TeacherAnswer.labels.label("teacher_labels"),
            Item.agreement,
            Item.verdict,
            Item.split,
            Item.source,
        )
        .outerjoin(Judgement, Judgement.id == Item.decision_id)
        .outerjoin(TeacherAnswer, TeacherAnswer.id == Item.answer_id)
        .where(*_conditions(project_id, chosen), Item.id > after)
        .order_by(Item.id)
        .limit(limit)
    )


def _conditions(project_id: int, chosen: ItemFilter) -> list[ColumnElement[bool]]:
    conditions = [Item.project_id == project_id]
    if chosen.split is not None:
        conditions.append(Item.split == chosen.split)
    if chosen.verdict is not None:
        conditions.append(Item.verdict == chosen.verdict.value)
    if chosen.agreement is not None:
        conditions.append(Item.agreement == chosen.agreement)
    if chosen.source is not None:
        conditions.append(Item.source == chosen.source)
    if chosen.unreviewed is not None:
        conditions.append(Item.verdict.is_(None) if chosen.unreviewed else Item.verdict.is_not(None))
    if chosen.category is not None:
        conditions.append(_category(chosen.category))
    search = (chosen.search or "").replace("\x00", "").strip()
    if search:
        conditions.append(or_(*(_contains(spelling) for spelling in _spellings(search))))
    return conditions


def _category(code: str) -> ColumnElement[bool]:
    labels = select(ItemLabel.item_id).where(ItemLabel.item_id == Item.id)
    if code != NONE:
        return labels.where(ItemLabel.code == code).exists()
    decided = Item.decision_id.is_not(None) & (Item.agreement != Agreement.DROPPED)
    return decided & ~labels.exists()


def _contains(search: str) -> ColumnElement[bool]:
    return Item.text.icontains(search, autoescape=True) | Item.external_id.icontains(search, autoescape=True)


def _spellings(search: str) -> list[str]:
    """SQLite only knows the case of ASCII letters; other words are looked for as usually written."""
    if search.isascii():
        return [search]
    return list(dict.fromkeys([search, search.lower(), search.upper(), search.capitalize(), search.title()]))
