"""What people said, and who is looking at what."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.db.models.base import (
    Base,
    CreatedAt,
    LongText,
    Person,
    PrimaryKey,
    choice,
    reference,
)
from backend.db.types import Id, StringTuple


class Source(StrEnum):
    """Where a judgement comes from; the later ones in this list weigh more."""

    GOLD = "gold"
    REVIEW = "review"
    ADJUDICATION = "adjudication"


class Verdict(StrEnum):
    """What a person said of the teacher's answer."""

    RIGHT = "right"
    WRONG_LABELS = "wrong-labels"
    BAD_REASON = "bad-reason"
    CANNOT_TELL = "cannot-tell"
    DISCARD = "discard"
    FROM_SCRATCH = "from-scratch"  # there was no answer
    WITHDRAWN = "withdrawn"  # undo: takes back the judgement it supersedes


class Judgement(Base):
    """What a person said of one item. Only ever added; a later one supersedes.

    `labels` is null where the person could not tell, discarded the item, or took a
    judgement back. `reason` is the person's own; null where the teacher's stands.
    """

    __tablename__ = "judgements"
    __table_args__ = (
        Index("ix_judgements_item", "item_id", "id"),
        # Finds a person's last judgement, for undo. Imported labels have no verdict and stay out.
        Index(
            "ix_judgements_person",
            "person",
            "id",
            sqlite_where=text("verdict IS NOT NULL"),
            postgresql_where=text("verdict IS NOT NULL"),
        ),
    )

    id: Mapped[PrimaryKey]
    item_id: Mapped[int] = mapped_column(Id, reference("items.id", cascade=True))
    policy_version_id: Mapped[int] = mapped_column(Id, reference("policy_versions.id"))
    source: Mapped[Source] = mapped_column(choice(Source))
    person: Mapped[Person]
    verdict: Mapped[Verdict | None] = mapped_column(choice(Verdict))
    labels: Mapped[tuple[str, ...] | None] = mapped_column(StringTuple)
    reason: Mapped[LongText | None]
    harmful: Mapped[tuple[str, ...]] = mapped_column(StringTuple, default=())
    answer_id: Mapped[int | None] = mapped_column(Id, reference("teacher_answers.id"))
    supersedes_id: Mapped[int | None] = mapped_column(Id, reference("judgements.id"))
    created_at: Mapped[CreatedAt]


class Lease(Base):
    """An item that a browser session has open. It expires by itself."""

    __tablename__ = "leases"
    __table_args__ = (Index("ix_leases_session", "session"),)

    item_id: Mapped[int] = mapped_column(Id, reference("items.id", cascade=True), primary_key=True)
    session: Mapped[str] = mapped_column(String(64))
    person: Mapped[Person]
    expires_at: Mapped[datetime]
