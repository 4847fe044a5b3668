"""The word lists' SQL."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.models import WordList


class WordListRepository:
    """Reads word lists and adds new ones; nothing here changes an old one."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def newest(self, project_id: int) -> WordList | None:
        """The list that counts now."""
        return self._session.scalar(
            select(WordList)
            .where(WordList.project_id == project_id)
            .order_by(WordList.number.desc())
            .limit(1)
        )

    def add(self, word_list: WordList) -> None:
        """Store a list; its number must be new in its project."""
        self._session.add(word_list)
        self._session.flush()
