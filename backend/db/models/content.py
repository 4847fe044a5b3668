"""Projects, their policies and their items."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

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


class Split(StrEnum):
    """Which part an item is used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Agreement(StrEnum):
    """How the teacher's first answer stands to the decision."""

    UNANSWERED = "unanswered"  # the teacher was not asked, or gave nothing
    INVALID = "invalid"  # the answer could not be read
    UNVERIFIED = "unverified"  # there is an answer but no decision
    AGREES = "agrees"
    FALSE_ALARM = "false-alarm"  # the teacher names a violation where people see none
    MISSED = "missed"  # people see a violation where the teacher names none
    OTHER_LABELS = "other-labels"  # both see a violation, not the same
    DROPPED = "dropped"  # people could not tell, or discarded the item


class Queue(StrEnum):
    """The review queue that an item waits in."""

    TEACHER = "teacher"  # judge the teacher's answer
    SCRATCH = "scratch"  # no answer: judge from scratch


class Project(Base):
    """One moderation problem. `champion_run_id` is empty while the base model is champion."""

    __tablename__ = "projects"

    id: Mapped[PrimaryKey]
    name: Mapped[Name] = mapped_column(unique=True)
    none_label: Mapped[str | None] = mapped_column(String(200))
    blur: Mapped[bool] = mapped_column(default=False)
    champion_run_id: Mapped[int | None] = mapped_column(
        Id, ForeignKey("runs.id", use_alter=True, name="fk_projects_champion_run_id")
    )
    created_at: Mapped[CreatedAt]
    created_by: Mapped[Person]


class PolicyVersion(Base):
    """The rules at one time. A version never changes."""

    __tablename__ = "policy_versions"
    __table_args__ = (UniqueConstraint("project_id", "number"),)

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True))
    number: Mapped[int]
    note: Mapped[LongText] = mapped_column(default="")
    created_at: Mapped[CreatedAt]
    created_by: Mapped[Person]
    categories: Mapped[list[Category]] = relationship(order_by="Category.position", lazy="raise")


class Category(Base):
    """One rule of one policy version."""

    __tablename__ = "categories"
    __table_args__ = (UniqueConstraint("policy_version_id", "code"),)

    id: Mapped[PrimaryKey]
    policy_version_id: Mapped[int] = mapped_column(Id, reference("policy_versions.id", cascade=True))
    position: Mapped[int]
    code: Mapped[str] = mapped_column(String(63))
    name: Mapped[Name]
    definition: Mapped[LongText] = mapped_column(default="")
    examples: Mapped[tuple[str, ...]] = mapped_column(StringTuple, default=())


class Import(Base):
    """One file that was read in, with what became of its rows."""

    __tablename__ = "imports"

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True), index=True)
    file_name: Mapped[Name]
    file_hash: Mapped[Hash]
    mapping: Mapped[dict[str, Any]] = mapped_column(Json)
    counts: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[CreatedAt]
    created_by: Mapped[Person]


class Item(Base):
    """One post. The columns after `created_at` are derived from answers and judgements.

    Lists, filters and the queue read the derived columns alone; `backend.items` keeps them.
    """

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("project_id", "text_hash"),
        UniqueConstraint("project_id", "external_id"),
        Index("ix_items_project", "project_id", "id"),
        Index("ix_items_project_split", "project_id", "split", "id"),
        Index("ix_items_project_agreement", "project_id", "agreement", "id"),
        Index("ix_items_project_verdict", "project_id", "verdict", "id"),
        Index("ix_items_project_source", "project_id", "source", "id"),
        Index("ix_items_queue", "project_id", "queue", "queue_rank", "id"),
    )

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True))
    external_id: Mapped[Name]
    text: Mapped[LongText]
    text_hash: Mapped[Hash]
    split: Mapped[Split] = mapped_column(choice(Split))
    source: Mapped[str] = mapped_column(String(200), default="")
    meta: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    import_id: Mapped[int | None] = mapped_column(Id, reference("imports.id"))
    created_at: Mapped[CreatedAt]

    # In an imported evaluation set: never trained on.
    held_out: Mapped[bool] = mapped_column(default=False)
    agreement: Mapped[Agreement] = mapped_column(choice(Agreement), default=Agreement.UNANSWERED)
    answer_id: Mapped[int | None] = mapped_column(
        Id, ForeignKey("teacher_answers.id", use_alter=True, name="fk_items_answer_id")
    )
    decision_id: Mapped[int | None] = mapped_column(
        Id, ForeignKey("judgements.id", use_alter=True, name="fk_items_decision_id")
    )
    decision_source: Mapped[str | None] = mapped_column(String(20))
    verdict: Mapped[str | None] = mapped_column(String(20))
    queue: Mapped[Queue | None] = mapped_column(choice(Queue))
    # Lower comes first: what disagrees with the decision before the rest, and test posts last in each.
    queue_rank: Mapped[int] = mapped_column(default=0)
    # Sent back by a person, from the page where a student got it wrong.
    sent_back: Mapped[bool] = mapped_column(default=False)


class ItemLabel(Base):
    """The decision's categories, one a row, for filters and counts. Derived like the above."""

    __tablename__ = "item_labels"
    __table_args__ = (Index("ix_item_labels_code", "project_id", "code", "item_id"),)

    item_id: Mapped[int] = mapped_column(Id, reference("items.id", cascade=True), primary_key=True)
    code: Mapped[str] = mapped_column(String(63), primary_key=True)
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True))
