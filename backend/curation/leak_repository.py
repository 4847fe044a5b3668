"""The SQL of leakage: what students are judged by, and what they could be taught."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.db.models import EvaluationRow, EvaluationSet, Item
from backend.db.models.content import Split
from backend.db.models.evaluation import SetOrigin

_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Judging:
    """What students of a project are judged by, as far as it can change.

    Attributes:
        set_ids: the newest version of each set, but for the test split's, in the order of their names.
        newest_item: its id, 0 where there is none. An item's post and split never change.
        newest_text: the newest item's hash: a rolled back import's ids are given again.
    """

    set_ids: tuple[int, ...]
    newest_item: int
    newest_text: str

    def as_counts(self) -> dict[str, Any]:
        """As a version keeps it, so that an evaluation knows what its rows were kept apart from."""
        return {"set_ids": list(self.set_ids), "newest_item": self.newest_item}


class LeakRepository:
    """Reads the posts of evaluation sets, of the test split, and all others."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def database(self) -> str:
        """Which database this is."""
        return str(self._session.get_bind().engine.url)

    def judging(self, project_id: int) -> Judging:
        """What the project's students are judged by now."""
        newest_versions = (
            select(func.max(EvaluationSet.id))
            .where(EvaluationSet.project_id == project_id, EvaluationSet.origin != SetOrigin.TEST_SPLIT)
            .group_by(EvaluationSet.origin, EvaluationSet.name)
        )
        sets = self._session.scalars(
            select(EvaluationSet.id)
            .where(EvaluationSet.id.in_(newest_versions))
            .order_by(EvaluationSet.name, EvaluationSet.id)
        )
        newest = self._session.execute(
            select(Item.id, Item.text_hash)
            .where(Item.project_id == project_id)
            .order_by(Item.id.desc())
            .limit(1)
        ).one_or_none()
        return Judging(tuple(sets), *(newest or (0, "")))

    def items(self, project_id: int) -> int:
        """How many items a project has."""
        return self._session.scalar(select(func.count()).where(Item.project_id == project_id)) or 0

    def set_posts(self, set_id: int) -> tuple[str, list[str]]:
        """A set's name and its posts."""
        name = self._session.scalar(select(EvaluationSet.name).where(EvaluationSet.id == set_id))
        posts = select(EvaluationRow.text).where(EvaluationRow.set_id == set_id).order_by(EvaluationRow.id)
        return name or "", list(self._session.scalars(posts))

    def posts(self, project_id: int, *splits: Split) -> Iterator[tuple[int, str]]:
        """Ids and posts of the items of these splits, oldest first, read in parts."""
        after = 0
        query = (
            select(Item.id, Item.text)
            .where(Item.project_id == project_id, Item.split.in_(splits))
            .order_by(Item.id)
            .limit(_CHUNK)
        )
        while rows := self._session.execute(query.where(Item.id > after)).all():
            yield from ((row.id, row.text) for row in rows)
            after = rows[-1].id
