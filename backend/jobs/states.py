"""What a job may be asked in which state, and which kind of hands it needs."""

from __future__ import annotations

from enum import StrEnum

from backend.db.models import Job
from backend.db.models.jobs import JobKind, JobState

ACTIVE = frozenset({JobState.STARTING, JobState.RUNNING, JobState.STOPPING})
"""Somebody is, or was, at work on it."""

ENDED = frozenset({JobState.SUCCEEDED, JobState.STOPPED, JobState.FAILED, JobState.INTERRUPTED})
"""Nothing more happens by itself."""

RESUMABLE = ENDED - {JobState.SUCCEEDED}
"""A person may queue it again; it goes on from what it has."""


FAILS_AGAIN = "fails_again"
"""In a job's result, and in the trainer's: whether the same job would fail once more."""


def can_go_on(job: Job) -> bool:
    """Whether queuing an ended job again can get it further; what its settings forbid stays forbidden."""
    if job.state is JobState.FAILED:
        return not (job.result or {}).get(FAILS_AGAIN, False)
    return job.state in RESUMABLE


class Lane(StrEnum):
    """A queue of its own, so that asking a teacher or exporting never waits behind training."""

    TRAINER = "trainer"  # the trainer's process: one for each GPU, one in all without
    THREAD = "thread"  # a thread of the worker

    @classmethod
    def of(cls, kind: JobKind) -> Lane:
        """The lane that a kind of job waits in."""
        return cls.TRAINER if kind in _TRAINER_KINDS else cls.THREAD

    @property
    def kinds(self) -> tuple[JobKind, ...]:
        """The kinds of job that wait in this lane."""
        return tuple(kind for kind in JobKind if Lane.of(kind) is self)


_TRAINER_KINDS = frozenset({JobKind.TRAIN, JobKind.SCORE})
