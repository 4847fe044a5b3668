"""Evaluation sets, evaluations and their predictions."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

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


class SetOrigin(StrEnum):
    """Where an evaluation set comes from."""

    TEST_SPLIT = "test-split"
    IMPORTED = "imported"
    ROBUSTNESS = "robustness"  # another set's posts, disguised


class ModelKind(StrEnum):
    """What was evaluated."""

    BASE = "base"
    TEACHER = "teacher"
    RUN = "run"
    BASELINE = "baseline"  # no language model: a word list, a regression


class Outcome(StrEnum):
    """How what a model said of a post stands to what is right."""

    RIGHT = "right"
    FALSE_ALARM = "false-alarm"  # the model names a violation where there is none
    MISSED = "missed"  # there is a violation and the model names none
    OTHER_LABELS = "other-labels"  # both see a violation, not the same


class EvaluationSet(Base):
    """Posts with frozen labels. Changed labels make a new version under the same name.

    A set with `positive_labels` knows only yes and no: it is judged on "any violation".
    """

    __tablename__ = "evaluation_sets"
    __table_args__ = (UniqueConstraint("project_id", "name", "number"),)

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True))
    name: Mapped[Name]
    number: Mapped[int] = mapped_column(default=1)
    origin: Mapped[SetOrigin] = mapped_column(choice(SetOrigin))
    policy_version_id: Mapped[int] = mapped_column(Id, reference("policy_versions.id"))
    positive_labels: Mapped[tuple[str, ...] | None] = mapped_column(StringTuple)
    rows: Mapped[int] = mapped_column(default=0)
    hash: Mapped[Hash]
    import_id: Mapped[int | None] = mapped_column(Id, reference("imports.id"))
    # The set that this one was made from. SQLite cannot add a foreign key to a table that others point at.
    made_from_id: Mapped[int | None] = mapped_column(Id)
    # The key in the posts' `meta` by which figures are also given, as HateCheck's functionality.
    group_by: Mapped[str | None] = mapped_column(String(200))
    # The posts' language (BCP 47), where it is known.
    language: Mapped[str | None] = mapped_column(String(20))
    # The set's own label for each of the policy's codes that has one: {"threats": "hateful"}.
    label_map: Mapped[dict[str, str] | None] = mapped_column(Json)
    created_at: Mapped[CreatedAt]
    created_by: Mapped[Person]


class WordList(Base):
    """A team's own word list, judged beside the models. Another list has the next number."""

    __tablename__ = "word_lists"
    __table_args__ = (UniqueConstraint("project_id", "number"),)

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True))
    number: Mapped[int]
    file_name: Mapped[Name]
    # The categories of each word or phrase; none where it means any violation.
    entries: Mapped[dict[str, list[str]]] = mapped_column(Json)
    created_at: Mapped[CreatedAt]
    created_by: Mapped[Person]


class EvaluationRow(Base):
    """One post of a set. `labels` are category codes; in a yes/no set `positive` says it."""

    __tablename__ = "evaluation_rows"
    __table_args__ = (
        UniqueConstraint("set_id", "external_id"),
        Index("ix_evaluation_rows_hash", "set_id", "text_hash"),
    )

    id: Mapped[PrimaryKey]
    set_id: Mapped[int] = mapped_column(Id, reference("evaluation_sets.id", cascade=True))
    item_id: Mapped[int | None] = mapped_column(Id, reference("items.id"))
    external_id: Mapped[Name]
    text: Mapped[LongText]
    text_hash: Mapped[Hash]
    labels: Mapped[tuple[str, ...]] = mapped_column(StringTuple, default=())
    positive: Mapped[bool]
    meta: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)


class Evaluation(Base):
    """One model scored on one set. A model without probabilities has null `scores`."""

    __tablename__ = "evaluations"
    __table_args__ = (Index("ix_evaluations_set", "set_id", "model_kind", "id"),)

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True))
    set_id: Mapped[int] = mapped_column(Id, reference("evaluation_sets.id", cascade=True))
    model_kind: Mapped[ModelKind] = mapped_column(choice(ModelKind))
    # The base model's name, or the teacher's.
    model: Mapped[str] = mapped_column(String(500))
    run_id: Mapped[int | None] = mapped_column(Id, reference("runs.id"))
    policy_version_id: Mapped[int] = mapped_column(Id, reference("policy_versions.id"))
    prompt_hash: Mapped[str | None] = mapped_column(String(64))
    # "direct" or "reasoned": how a student that knows both was asked; null as it is asked by itself.
    inference: Mapped[str | None] = mapped_column(String(20))
    thresholds: Mapped[dict[str, float]] = mapped_column(Json, default=dict)
    metrics: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    job_id: Mapped[int | None] = mapped_column(Id, reference("jobs.id"))
    created_at: Mapped[CreatedAt]
    created_by: Mapped[Person]


class Prediction(Base):
    """What one model said of one post of a set, and whether it was right."""

    __tablename__ = "predictions"
    __table_args__ = (Index("ix_predictions_outcome", "evaluation_id", "outcome", "row_id"),)

    evaluation_id: Mapped[int] = mapped_column(
        Id, reference("evaluations.id", cascade=True), primary_key=True
    )
    row_id: Mapped[int] = mapped_column(Id, reference("evaluation_rows.id", cascade=True), primary_key=True)
    labels: Mapped[tuple[str, ...]] = mapped_column(StringTuple)
    # By category code; a score that is not a number is left out.
    scores: Mapped[dict[str, float] | None] = mapped_column(Json)
    # The probability that the post breaks any rule.
    any_score: Mapped[float | None]
    # The model's yes or no: in a yes/no set by `any_score`, else whether it names a category.
    flagged: Mapped[bool]
    outcome: Mapped[Outcome] = mapped_column(choice(Outcome))
