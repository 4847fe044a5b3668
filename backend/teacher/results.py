"""What the teacher's room takes and hands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from backend.db.models.content import Agreement
from backend.db.models.teacher import TeacherOrigin
from backend.jobs.payloads import Payload


class Failure(StrEnum):
    """Why a post got no answer; it is asked again the next time."""

    RATE_LIMIT = "rate-limit"  # 429, still after the last retry
    SERVER = "server-error"  # 5xx, still after the last retry
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    REJECTED = "rejected"  # 4xx: the server will not take this request
    GARBAGE = "garbage"  # 200, but no chat completion


class TeacherOverrides(BaseModel):
    """What one run takes other than from the settings. The key itself is never stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str | None = Field(None, description="Any OpenAI-compatible address.")
    model: str | None = Field(None, description="The model's name at that address.")
    key_env: str | None = Field(None, description="The environment variable that holds the key.")
    concurrency: int | None = Field(None, ge=1, le=256, description="Requests under way at once.")
    timeout: float | None = Field(None, gt=0, description="Seconds to wait for one answer.")
    answer_tokens: int | None = Field(None, ge=16, description="Most tokens of one answer.")


class TeachPayload(Payload):
    """What a teaching job is to do."""

    recheck: bool = Field(True, description="Ask once more where an answer differs from the decision.")
    limit: int | None = Field(None, ge=1, description="Ask about at most so many posts.")
    ask_invalid: bool = Field(False, description="Ask again where an answer could not be read.")
    overrides: TeacherOverrides = TeacherOverrides()


@dataclass(frozen=True, slots=True)
class TeachPlan:
    """What a run would ask, and roughly what it costs.

    Attributes:
        endpoint: the address, without a password in it.
        has_key: whether a key will be sent.
        unanswered: posts without an answer.
        invalid: posts whose answer could not be read; asked again only on request.
        wanted: posts that will be asked.
        to_recheck: answers of this model under this prompt that differ from the decision
            and were not rechecked yet.
        prompt: what the teacher is sent, for one post.
        prompt_tokens: tokens to send in all, estimated from characters.
        answer_tokens: tokens of the answers in all, a guess.
    """

    endpoint: str
    model: str
    has_key: bool
    unanswered: int
    invalid: int
    wanted: int
    to_recheck: int
    prompt: str
    prompt_version: int
    prompt_hash: str
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class TeachResult:
    """How a run ended. `wanted` is always answered + invalid + all of failed + left.

    Attributes:
        run_id: the teacher run that new answers belong to; None where nothing was to be asked.
        answered: posts with an answer that could be read.
        invalid: posts whose answer was kept but could not be read.
        failed: posts that got no answer, by kind of failure.
        left: posts that were not asked, because the run was stopped.
        rechecked: answers that were asked about once more, old ones among them.
        mended: rechecks that came to the decision.
        recheck_failed: rechecks that got no answer, by kind of failure.
        prompt_tokens: tokens sent, as the server counted them.
        answer_tokens: tokens received, as the server counted them.
        said: the last thing that was said of each kind of failure.
        stopped: whether it was stopped on request.
    """

    run_id: int | None = None
    wanted: int = 0
    answered: int = 0
    invalid: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    left: int = 0
    rechecked: int = 0
    mended: int = 0
    recheck_failed: Mapping[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    answer_tokens: int = 0
    said: Mapping[str, str] = field(default_factory=dict)
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class TeacherRunSummary:
    """One teacher run as a list shows it.

    `agrees` and `differs` count answers that were compared with a decision; an answer
    without a decision is in neither. `errors` counts posts that got no answer, by kind.
    """

    id: int
    origin: TeacherOrigin
    endpoint: str
    model: str
    policy_version_id: int
    prompt_hash: str | None
    recheck: bool
    job_id: int | None
    wanted: int
    answered: int
    agrees: int
    differs: int
    invalid: int
    errors: Mapping[str, int]
    rechecked: int
    mended: int
    created_at: datetime
    created_by: str
    finished_at: datetime | None

    @property
    def finished(self) -> bool:
        """Whether nothing is asked for this run any more."""
        return self.origin is TeacherOrigin.IMPORTED or self.finished_at is not None


@dataclass(frozen=True, slots=True)
class CategoryAgreement:
    """How often teacher and people name one category, over items with answer and decision."""

    code: str
    name: str
    both: int
    teacher_only: int
    people_only: int


@dataclass(frozen=True, slots=True)
class AgreementTable:
    """How the teacher's first answers stand to the decisions."""

    counts: Mapping[Agreement, int]
    categories: tuple[CategoryAgreement, ...]

    @property
    def compared(self) -> int:
        """Items that have both an answer and a decision."""
        return self.agrees + self.differs

    @property
    def agrees(self) -> int:
        """Items where teacher and people name the same categories."""
        return self.counts.get(Agreement.AGREES, 0)

    @property
    def differs(self) -> int:
        """Items where they do not."""
        return sum(self.counts.get(agreement, 0) for agreement in DIFFERING)


DIFFERING = (Agreement.FALSE_ALARM, Agreement.MISSED, Agreement.OTHER_LABELS)
"""The teacher's answer is wrong: it differs from the decision."""
