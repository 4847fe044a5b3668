"""The SQL of leakage: a set's posts, and what a dataset version taught."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.models import DatasetRow, DatasetVersion, EvaluationRow, Item, Run
from backend.db.models.content import Split

_CHUNK = 2_000


class LearnedRepository:
    """Reads posts of sets and of dataset versions."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def version_of(self, run_id: int) -> DatasetVersion | None:
        """The dataset version that a run learned."""
        return self._session.scalar(
            select(DatasetVersion)
            .join(Run, Run.dataset_version_id == DatasetVersion.id)
            .where(Run.id == run_id)
        )

    def set_posts(self, set_id: int) -> Sequence[Any]:
        """Rows of row_id, item_id, text, in the order of keys."""
        return self._session.execute(
            select(EvaluationRow.id.label("row_id"), EvaluationRow.item_id, EvaluationRow.text)
            .where(EvaluationRow.set_id == set_id)
            .order_by(EvaluationRow.id)
        ).all()

    def taught(self, version_id: int) -> Iterator[str]:
        """The posts of a version's training rows, read in parts."""
        after = 0
        query = (
            select(Item.id, Item.text)
            .join(DatasetRow, DatasetRow.item_id == Item.id)
            .where(DatasetRow.version_id == version_id, DatasetRow.split == Split.TRAIN)
            .order_by(DatasetRow.item_id)
            .limit(_CHUNK)
        )
        while rows := self._session.execute(query.where(DatasetRow.item_id > after)).all():
            yield from (row.text for row in rows)
            after = rows[-1].id
