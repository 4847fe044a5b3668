"""The SQL of pairs: a version's rows beside the teacher's answers that they correct."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from backend.curation.pairs import Both
from backend.db.models import DatasetRow, Item, Judgement, TeacherAnswer
from backend.db.models.content import Split

# Items read at once: few enough for memory with long posts, enough for speed.
CHUNK = 2_000
_WHITE_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class StoredPair:
    """A row of a version with its post and the teacher's first answer."""

    item_id: int
    text: str
    analysis: str | None
    harmful: tuple[str, ...]
    answer_analysis: str
    answer_harmful: tuple[str, ...]
    both: Both


class PairRepository:
    """Reads what may be a pair; `pairs.corrected` says what is one."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def kinds(self, version_id: int, split: Split) -> Iterator[tuple[Both, int]]:
        """What differs between rows and answers, each with how many rows are so.

        There are few kinds however many the rows, so the database counts.
        """
        kinds = _candidates(select(*_compared()), version_id, split).subquery()
        for *parts, count in self._session.execute(select(*kinds.c, func.count()).group_by(*kinds.c)):
            yield _both(*parts), count

    def candidates(self, version_id: int, split: Split) -> Iterator[list[StoredPair]]:
        """Rows that may be pairs, in chunks by item."""
        query = select(
            DatasetRow.item_id,
            Item.text,
            DatasetRow.analysis,
            DatasetRow.harmful,
            TeacherAnswer.analysis,
            TeacherAnswer.harmful,
            *_compared(),
        )
        query = _candidates(query, version_id, split).order_by(DatasetRow.item_id).limit(CHUNK)
        after = 0
        while rows := self._session.execute(query.where(DatasetRow.item_id > after)).all():
            yield [
                StoredPair(row[0], row[1], row[2], row[3], row[4], row[5], _both(*row[6:])) for row in rows
            ]
            after = rows[-1][0]


def _candidates(query: Select[*tuple[Any, ...]], version_id: int, split: Split) -> Select[*tuple[Any, ...]]:
    """Rows with an answer whose labels or reason a person gave.

    The reason is a person's where it is the standing decision's, word for word.
    """
    return (
        query.select_from(DatasetRow)
        .join(Item, Item.id == DatasetRow.item_id)
        .join(TeacherAnswer, TeacherAnswer.id == Item.answer_id)
        .outerjoin(Judgement, and_(Judgement.id == Item.decision_id, Judgement.reason == DatasetRow.analysis))
        .where(
            DatasetRow.version_id == version_id,
            DatasetRow.split == split,
            or_(DatasetRow.origin == "people", Judgement.id.is_not(None)),
        )
    )


def _compared() -> list[Any]:
    """What `_both` takes, in its order."""
    other_reason = and_(
        Judgement.id.is_not(None),
        func.trim(TeacherAnswer.analysis, _WHITE_SPACE) != "",
        TeacherAnswer.analysis != DatasetRow.analysis,
    )
    return [
        DatasetRow.labels.label("taught"),
        DatasetRow.origin.label("origin"),
        TeacherAnswer.labels.label("answered"),
        other_reason.label("other_reason"),
    ]


def _both(
    taught: tuple[str, ...], origin: str, answered: tuple[str, ...] | None, other_reason: bool | None
) -> Both:
    return Both(taught, origin, answered, bool(other_reason))
