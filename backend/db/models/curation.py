"""Frozen datasets."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.db.models.base import (
    Base,
    CreatedAt,
    Hash,
    LongText,
    Person,
    PrimaryKey,
    choice,
    reference,
)
from backend.db.models.content import Split
from backend.db.types import Id, Json, StringTuple


class Handling(StrEnum):
    """What a dataset does with wrong teacher answers (paper, settings A to D, and ours)."""

    KEEP = "keep"
    DROP = "drop"
    RECHECK_KEEP = "recheck-keep"
    RECHECK_DROP = "recheck-drop"
    REVIEW = "review"


class DatasetVersion(Base):
    """A frozen set of training and validation rows. It never changes."""

    __tablename__ = "dataset_versions"
    __table_args__ = (UniqueConstraint("project_id", "number"),)

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True))
    number: Mapped[int]
    policy_version_id: Mapped[int] = mapped_column(Id, reference("policy_versions.id"))
    handling: Mapped[Handling] = mapped_column(choice(Handling))
    include_unverified: Mapped[bool] = mapped_column(default=False)
    # With handling "review": imported labels of items that the teacher has not answered.
    include_unanswered: Mapped[bool] = mapped_column(default=False)
    # {"rows": {"train": n, …}, "reasoned": n, "labels": {code: n}, "none": n,
    #  "left_out": {why: n}, "warnings": [sentence, …],
    #  "apart_from": {"set_ids": [id, …], "newest_item": id}}: what its rows do not nearly repeat
    #  posts of, the sets and the test split up to this item.
    # A version made for a study also has "variation": how it differs from what its handling gives
    # (backend/curation/variation.py).
    counts: Mapped[dict[str, Any]] = mapped_column(Json)
    hash: Mapped[Hash]
    # The newest judgement that it knew: later ones are "new since".
    last_judgement_id: Mapped[int] = mapped_column(Id, default=0)
    created_at: Mapped[CreatedAt]
    created_by: Mapped[Person]


class DatasetRow(Base):
    """What is taught of one item. Its text is the item's, which never changes."""

    __tablename__ = "dataset_rows"
    __table_args__ = (Index("ix_dataset_rows_version_split", "version_id", "split", "item_id"),)

    version_id: Mapped[int] = mapped_column(
        Id, reference("dataset_versions.id", cascade=True), primary_key=True
    )
    item_id: Mapped[int] = mapped_column(Id, reference("items.id"), primary_key=True)
    split: Mapped[Split] = mapped_column(choice(Split))
    labels: Mapped[tuple[str, ...]] = mapped_column(StringTuple)
    # Null: learned in the direct form only.
    analysis: Mapped[LongText | None]
    harmful: Mapped[tuple[str, ...]] = mapped_column(StringTuple, default=())
    # "teacher", "recheck" or "people": whose labels these are.
    origin: Mapped[str] = mapped_column(default="teacher")
