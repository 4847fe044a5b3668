"""The SQL of dataset versions: what may be taught, and what a version teaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, func, insert, literal, null, select
from sqlalchemy.orm import Session, aliased

from backend.curation.handling import Answered, Candidate, Decided
from backend.db.models import (
    DatasetRow,
    DatasetVersion,
    Item,
    Judgement,
    PolicyVersion,
    Project,
    TeacherAnswer,
    TeacherRun,
)
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.db.models.review import Source, Verdict
from backend.db.types import StringTuple

# Items read at once: few enough for memory with long posts, enough for speed.
CHUNK = 2_000
EXCERPT = 200
"""Characters of a post in a list."""


@dataclass(frozen=True, slots=True)
class Found:
    """An item with what may be taught of it."""

    item_id: int
    external_id: str
    text: str
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row of a version with its post."""

    item_id: int
    external_id: str
    text: str
    split: Split
    labels: tuple[str, ...]
    analysis: str | None
    harmful: tuple[str, ...]
    origin: str


class DatasetRepository:
    """Reads what may be taught; keeps versions, which never change."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def kinds(self, project_id: int) -> Iterator[tuple[Candidate, int]]:
        """What differs in what may be taught, each with how many items are so.

        There are few kinds however many the items, so the database counts. Reasons are cut down
        to whether there is one.
        """
        for *parts, count in self._session.execute(_kinds(project_id)):
            yield _candidate(*parts), count

    def candidates(self, project_id: int) -> Iterator[list[Found]]:
        """All items of a project with what may be taught of them, in chunks, oldest first."""
        after = 0
        query = _candidates(project_id)
        while rows := self._session.execute(query.where(Item.id > after)).all():
            yield [Found(row[0], row[1], row[2], _candidate(*row[3:])) for row in rows]
            after = rows[-1][0]

    def some(self, project_id: int, item_ids: Iterable[int]) -> Iterator[Found]:
        """Some items of a project with what may be taught of them, oldest first."""
        ids, query = sorted(item_ids), _candidates(project_id)
        for start in range(0, len(ids), CHUNK):
            part = query.where(Item.id.in_(ids[start : start + CHUNK]))
            yield from (
                Found(row[0], row[1], row[2], _candidate(*row[3:])) for row in self._session.execute(part)
            )

    def lock_project(self, project_id: int) -> None:
        """Let no other transaction number a version of this project until this one ends."""
        # SQLite has one writer at a time and needs no lock on a row.
        self._session.execute(
            select(Project.id).where(Project.id == project_id).with_for_update(key_share=True)
        )

    def newest_judgement(self) -> int:
        """The newest judgement's id, 0 where there is none."""
        return self._session.scalar(select(func.max(Judgement.id))) or 0

    def add(self, version: DatasetVersion) -> DatasetVersion:
        """Store a version under the project's next number."""
        newest = self._session.scalar(
            select(func.max(DatasetVersion.number)).where(DatasetVersion.project_id == version.project_id)
        )
        version.number = (newest or 0) + 1
        self._session.add(version)
        self._session.flush()
        return version

    def add_rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """Store rows of a version."""
        if rows:
            self._session.execute(insert(DatasetRow), rows)

    def newest_like(
        self,
        project_id: int,
        policy_version_id: int,
        handling: Handling,
        *,
        include_unverified: bool,
        include_unanswered: bool,
        variation: Mapping[str, Any],
    ) -> DatasetVersion | None:
        """The newest version that was made with the same settings."""
        alike = self._session.scalars(
            select(DatasetVersion)
            .where(
                DatasetVersion.project_id == project_id,
                DatasetVersion.policy_version_id == policy_version_id,
                DatasetVersion.handling == handling,
                DatasetVersion.include_unverified == include_unverified,
                DatasetVersion.include_unanswered == include_unanswered,
            )
            .order_by(DatasetVersion.number.desc())
        )
        return next((one for one in alike if one.counts.get("variation", {}) == variation), None)

    def versions(self, project_id: int) -> list[DatasetVersion]:
        """A project's versions, newest first."""
        return list(
            self._session.scalars(
                select(DatasetVersion)
                .where(DatasetVersion.project_id == project_id)
                .order_by(DatasetVersion.number.desc())
            )
        )

    def by_number(self, project_id: int, number: int) -> DatasetVersion | None:
        """One version of a project."""
        return self._session.scalar(
            select(DatasetVersion).where(
                DatasetVersion.project_id == project_id, DatasetVersion.number == number
            )
        )

    def by_id(self, version_id: int) -> DatasetVersion | None:
        """One version by its id."""
        return self._session.get(DatasetVersion, version_id)

    def page(self, version_id: int, *, split: Split | None, after: int, limit: int) -> Sequence[Row[Any]]:
        """Rows of a version after an item's id, without their posts and reasons."""
        query = (
            select(
                DatasetRow.item_id,
                Item.external_id,
                func.substr(Item.text, 1, EXCERPT).label("excerpt"),
                DatasetRow.split,
                DatasetRow.labels,
                DatasetRow.origin,
                DatasetRow.analysis.is_not(None).label("reasoned"),
            )
            .join(Item, Item.id == DatasetRow.item_id)
            .where(*_in(version_id, split), DatasetRow.item_id > after)
            .order_by(DatasetRow.item_id)
            .limit(limit)
        )
        return self._session.execute(query).all()

    def row(self, version_id: int, item_id: int) -> StoredRow | None:
        """One row of a version."""
        query = _stored(version_id, None).where(DatasetRow.item_id == item_id)
        found = self._session.execute(query).one_or_none()
        return None if found is None else StoredRow(*found)

    def answers(self, version_id: int, split: Split) -> dict[tuple[str, ...], int]:
        """How many rows of a split are taught which set of labels."""
        query = select(DatasetRow.labels, func.count()).where(*_in(version_id, split))
        return {row[0]: row[1] for row in self._session.execute(query.group_by(DatasetRow.labels))}

    def stored(self, version_id: int, split: Split | None = None) -> Iterator[list[StoredRow]]:
        """All rows of a version, or of one split, in chunks by item."""
        after = 0
        query = _stored(version_id, split).order_by(DatasetRow.item_id).limit(CHUNK)
        while rows := self._session.execute(query.where(DatasetRow.item_id > after)).all():
            yield [StoredRow(*row) for row in rows]
            after = rows[-1].item_id

    def decisions(self, project_id: int) -> Iterator[Sequence[Row[Any]]]:
        """What stands for each item that has a decision, in chunks by item."""
        after = 0
        query = _decisions(project_id)
        while rows := self._session.execute(query.where(Item.id > after)).all():
            yield rows
            after = rows[-1].item_id

    def decided(self, project_id: int) -> int:
        """How many items have a decision."""
        found = select(func.count()).where(Item.project_id == project_id, Item.decision_id.is_not(None))
        return self._session.scalar(found) or 0


def _in(version_id: int, split: Split | None) -> list[ColumnElement[bool]]:
    conditions = [DatasetRow.version_id == version_id]
    return conditions if split is None else [*conditions, DatasetRow.split == split]


def _stored(version_id: int, split: Split | None) -> Select[*tuple[Any, ...]]:
    return (
        select(
            DatasetRow.item_id,
            Item.external_id,
            Item.text,
            DatasetRow.split,
            DatasetRow.labels,
            DatasetRow.analysis,
            DatasetRow.harmful,
            DatasetRow.origin,
        )
        .join(Item, Item.id == DatasetRow.item_id)
        .where(*_in(version_id, split))
    )


def _decisions(project_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Item.id.label("item_id"),
            Item.external_id,
            Item.text,
            Item.split,
            Item.source.label("origin"),
            Item.agreement,
            TeacherRun.model,
            TeacherAnswer.labels.label("answer_labels"),
            TeacherAnswer.analysis,
            TeacherAnswer.harmful.label("answer_harmful"),
            Judgement.source,
            Judgement.verdict,
            Judgement.labels,
            Judgement.reason,
            Judgement.harmful,
            Judgement.person,
            Judgement.created_at,
            PolicyVersion.number.label("policy_version"),
        )
        .join(Judgement, Judgement.id == Item.decision_id)
        .join(PolicyVersion, PolicyVersion.id == Judgement.policy_version_id)
        .outerjoin(TeacherAnswer, TeacherAnswer.id == Item.answer_id)
        .outerjoin(TeacherRun, TeacherRun.id == TeacherAnswer.run_id)
        .where(Item.project_id == project_id)
        .order_by(Item.id)
        .limit(CHUNK)
    )


_AGAIN = aliased(TeacherAnswer)
_ROUND = aliased(TeacherAnswer)
_WHITE_SPACE = " \t\r\n"


def _candidates(project_id: int) -> Select[*tuple[Any, ...]]:
    query = select(Item.id, Item.external_id, Item.text, *_columns(lambda reason: reason))
    return _with_answers(query, project_id).order_by(Item.id).limit(CHUNK)


def _kinds(project_id: int) -> Select[*tuple[Any, ...]]:
    kinds = _with_answers(select(*_columns(_is_there)), project_id).subquery()
    return select(*kinds.c, func.count()).group_by(*kinds.c)


def _is_there(text: Any) -> ColumnElement[Any]:
    """A reason or quotes cut down to whether there is one."""
    if isinstance(text.type, StringTuple):
        return null()
    return case((func.trim(text, _WHITE_SPACE) != "", literal("reason")), else_=null())


def _columns(cut: Callable[[Any], Any]) -> list[ColumnElement[Any]]:
    """What `_candidate` takes, in its order.

    Args:
        cut: what to take of the columns that are as long as people and teachers please.
    """
    columns = {
        "split": Item.split,
        "held_out": Item.held_out,
        "answered": TeacherAnswer.id.is_not(None),
        "answer_labels": TeacherAnswer.labels,
        "answer_analysis": cut(TeacherAnswer.analysis),
        "answer_harmful": cut(TeacherAnswer.harmful),
        "again": _AGAIN.id.is_not(None),
        "again_labels": _AGAIN.labels,
        "again_analysis": cut(_AGAIN.analysis),
        "again_harmful": cut(_AGAIN.harmful),
        "decided": Judgement.id.is_not(None),
        "decision_labels": Judgement.labels,
        "decision_source": Judgement.source,
        "verdict": Judgement.verdict,
        "reason": cut(Judgement.reason),
        "decision_harmful": cut(Judgement.harmful),
    }
    return [column.label(name) for name, column in columns.items()]


def _with_answers(query: Select[*tuple[Any, ...]], project_id: int) -> Select[*tuple[Any, ...]]:
    # Looked up item by item in the unique index: joined on its three columns, PostgreSQL would
    # at times walk all answers for every chunk.
    again_id = (
        select(_ROUND.id)
        .where(
            _ROUND.run_id == TeacherAnswer.run_id,
            _ROUND.item_id == TeacherAnswer.item_id,
            _ROUND.round == 1,
        )
        .scalar_subquery()
    )
    return (
        query.select_from(Item)
        .outerjoin(TeacherAnswer, TeacherAnswer.id == Item.answer_id)
        .outerjoin(_AGAIN, _AGAIN.id == again_id)
        .outerjoin(Judgement, Judgement.id == Item.decision_id)
        .where(Item.project_id == project_id)
    )


def _candidate(
    split: Split,
    held_out: bool,
    answered: bool,
    answer_labels: tuple[str, ...] | None,
    answer_analysis: str | None,
    answer_harmful: tuple[str, ...] | None,
    again: bool,
    again_labels: tuple[str, ...] | None,
    again_analysis: str | None,
    again_harmful: tuple[str, ...] | None,
    decided: bool,
    decision_labels: tuple[str, ...] | None,
    decision_source: Source,
    verdict: Verdict | None,
    reason: str | None,
    decision_harmful: tuple[str, ...] | None,
) -> Candidate:
    return Candidate(
        split,
        held_out,
        Answered(answer_labels, answer_analysis or "", answer_harmful or ()) if answered else None,
        Answered(again_labels, again_analysis or "", again_harmful or ()) if again else None,
        Decided(decision_labels, decision_source, verdict, reason, decision_harmful or ())
        if decided
        else None,
    )
