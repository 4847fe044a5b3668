"""What happened lately, in words: every room records what it did in the same transaction."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.db.models import Event

_LONGEST = 500


def record(session: Session, project_id: int, person: str, text: str) -> None:
    """Write down what a person did; it is kept only if the transaction is."""
    session.add(Event(project_id=project_id, person=person, text=text[:_LONGEST]))


def latest(session: Session, project_id: int, limit: int = 10) -> list[Event]:
    """What happened last, newest first."""
    found = select(Event).where(Event.project_id == project_id).order_by(Event.id.desc()).limit(limit)
    return list(session.scalars(found))
