"""Jobs, the fine-tunes among them, and what happened lately."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.db.models.base import (
    Base,
    CreatedAt,
    LongText,
    Name,
    Person,
    PrimaryKey,
    choice,
    reference,
)
from backend.db.types import Id, Json


class JobKind(StrEnum):
    """What a job does."""

    TRAIN = "train"
    SCORE = "score"
    TEACH = "teach"
    EXPORT = "export"


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    STOPPED = "stopped"  # on request, with a checkpoint where it trains
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # its process died without a word


class Job(Base):
    """The truth about one job; the queue carries its id only."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state", "state", "id"),
        Index("ix_jobs_project", "project_id", "id"),
    )

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True))
    kind: Mapped[JobKind] = mapped_column(choice(JobKind))
    state: Mapped[JobState] = mapped_column(choice(JobState), default=JobState.QUEUED)
    title: Mapped[Name]
    payload: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    phase: Mapped[str] = mapped_column(String(40), default="")
    # 0 to 1; null while it cannot be said.
    progress: Mapped[float | None]
    seconds_left: Mapped[float | None]
    error: Mapped[LongText | None]
    hint: Mapped[LongText | None]
    folder: Mapped[str | None] = mapped_column(String(1000))
    pid: Mapped[int | None]
    # A process id is used again after a while; with its start time it names one process.
    pid_started: Mapped[float | None]
    heartbeat_at: Mapped[datetime | None]
    # How often its process died since a person last started it.
    interruptions: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[CreatedAt]
    created_by: Mapped[Person]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Run(Base):
    """One fine-tune. How it goes is its job's to say."""

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("project_id", "number"),)

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True))
    number: Mapped[int]
    dataset_version_id: Mapped[int] = mapped_column(Id, reference("dataset_versions.id"))
    policy_version_id: Mapped[int] = mapped_column(Id, reference("policy_versions.id"))
    job_id: Mapped[int] = mapped_column(Id, reference("jobs.id"))
    base_model: Mapped[str] = mapped_column(String(500))
    preset: Mapped[str] = mapped_column(String(40))
    config: Mapped[dict[str, Any]] = mapped_column(Json)
    seed: Mapped[int] = mapped_column(default=0)
    # Set when the adapter is there.
    prompt_hash: Mapped[str | None] = mapped_column(String(64))
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[CreatedAt]
    created_by: Mapped[Person]


class WorkerBeat(Base):
    """The worker's sign of life; the newest row is the worker that counts."""

    __tablename__ = "worker_beats"

    id: Mapped[PrimaryKey]
    host: Mapped[Name]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]


class Event(Base):
    """What happened lately, in words."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_project", "project_id", "id"),)

    id: Mapped[PrimaryKey]
    project_id: Mapped[int] = mapped_column(Id, reference("projects.id", cascade=True))
    person: Mapped[Person]
    text: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[CreatedAt]
