"""What a teacher said."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.db.models.base import (
    Base,
    CreatedAt,
    Hash,
    LongText,
    Name,
    Person,
    PrimaryKey,
    choice,
    reference,
)
from backend.db.types import Id, Json, StringTuple


class TeacherOrigin(StrEnum):
    """Where a teacher run's answers come from."""

    ASKED = "asked"
    IMPORTED = "imported"


class TeacherRun(Base):
    """One pass of a teacher over items, under one policy version."""

    __tablename__ = "teacher_runs"

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True), index=True)
    policy_version_id: Mapped[int] = mapped_column(Id, reference("policy_versions.id"))
    origin: Mapped[TeacherOrigin] = mapped_column(choice(TeacherOrigin))
    endpoint: Mapped[str] = mapped_column(String(500), default="")
    model: Mapped[Name]
    prompt_hash: Mapped[Hash | None]
    recheck: Mapped[bool] = mapped_column(default=False)
    # How many items it was to ask; the rest is counted from its answers.
    wanted: Mapped[int] = mapped_column(default=0)
    job_id: Mapped[int | None] = mapped_column(Id, reference("jobs.id"))
    # Posts that got no answer, by kind of failure; they are asked the next time.
    failed: Mapped[dict[str, int]] = mapped_column(Json, default=dict)
    created_at: Mapped[CreatedAt]
    created_by: Mapped[Person]
    # Null while it is being asked; an imported run is over when it is stored.
    finished_at: Mapped[datetime | None]


class TeacherAnswer(Base):
    """What a teacher said of one item. Round 0 is the first answer, round 1 the recheck.

    An answer that could not be read is kept as it came: `raw` has it, `labels` is null.
    `error` says why there is nothing to read (refused, cut off, no parts found).
    """

    __tablename__ = "teacher_answers"
    __table_args__ = (
        UniqueConstraint("run_id", "item_id", "round"),
        Index("ix_teacher_answers_item", "item_id", "round", "id"),
    )

    id: Mapped[PrimaryKey]
    run_id: Mapped[int] = mapped_column(Id, reference("teacher_runs.id", cascade=True))
    item_id: Mapped[int] = mapped_column(Id, reference("items.id", cascade=True))
    round: Mapped[int] = mapped_column(default=0)
    labels: Mapped[tuple[str, ...] | None] = mapped_column(StringTuple)
    analysis: Mapped[LongText] = mapped_column(default="")
    harmful: Mapped[tuple[str, ...]] = mapped_column(StringTuple, default=())
    raw: Mapped[LongText] = mapped_column(default="")
    error: Mapped[str | None] = mapped_column(String(500))
    prompt_tokens: Mapped[int | None]
    answer_tokens: Mapped[int | None]
    created_at: Mapped[CreatedAt]
