"""Counting what becomes of each question, so that every post is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.teacher.answer import Parts, UnreadableAnswerError, read_answer, storable
from backend.teacher.client import Reply
from backend.teacher.repository import Post
from backend.teacher.results import Failure, TeachResult
from training.policy import Policy

_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Answered:
    """What was said of a post in one round; without `parts` it could not be read."""

    post: Post
    round: int
    reply: Reply
    parts: Parts | None
    error: str | None

    @property
    def right(self) -> bool:
        """Whether it comes to the decision."""
        return self.parts is not None and self.post.decision == frozenset(self.parts.labels)

    @property
    def wrong(self) -> bool:
        """Whether it can be read and differs from the decision."""
        return self.parts is not None and self.post.decision is not None and not self.right

    def columns(self, run_id: int) -> dict[str, Any]:
        """The row to store; an answer that cannot be read is kept as it came."""
        parts = self.parts or Parts(())
        return {
            "run_id": run_id,
            "item_id": self.post.item_id,
            "round": self.round,
            "labels": parts.labels if self.parts is not None else None,
            "analysis": parts.analysis,
            "harmful": parts.harmful,
            "raw": storable(self.reply.text),
            "error": storable(self.error)[:_LONGEST_ERROR] if self.error else None,
            "prompt_tokens": self.reply.prompt_tokens,
            "answer_tokens": self.reply.answer_tokens,
        }


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that got no answer."""

    post: Post
    round: int
    kind: Failure
    message: str


Outcome = Answered | Unanswered


def read_reply(post: Post, round_: int, reply: Reply, policy: Policy, none_label: str | None) -> Answered:
    """Read what came; what was refused or cut off is not the teacher's answer, however it looks."""
    if reply.trouble is not None:
        return Answered(post, round_, reply, None, reply.trouble)
    try:
        parts = read_answer(reply.text, policy, none_label=none_label)
    except UnreadableAnswerError as error:
        return Answered(post, round_, reply, None, str(error))
    return Answered(post, round_, reply, parts, None)


@dataclass(slots=True)
class Tally:
    """What is stored so far.

    Args:
        wanted: posts to ask about.
        waiting: old answers that wait for their recheck only.
    """

    wanted: int
    waiting: int
    answered: int = 0
    invalid: int = 0
    rechecked: int = 0
    mended: int = 0
    waited: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    recheck_failed: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    answer_tokens: int = 0
    said: dict[str, str] = field(default_factory=dict)

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count what was just stored."""
        for outcome in outcomes:
            self.waited += outcome.post.first is not None
            if isinstance(outcome, Unanswered):
                counts = self.failed if outcome.round == 0 else self.recheck_failed
                counts[outcome.kind.value] += 1
                self.said[outcome.kind.value] = outcome.message
            else:
                self._add_answer(outcome)

    def _add_answer(self, answer: Answered) -> None:
        self.prompt_tokens += answer.reply.prompt_tokens or 0
        self.answer_tokens += answer.reply.answer_tokens or 0
        if answer.round > 0:
            self.rechecked += 1
            self.mended += answer.right
        elif answer.parts is None:
            self.invalid += 1
        else:
            self.answered += 1

    @property
    def done(self) -> int:
        """Posts that are accounted for, and old answers that had their recheck."""
        return self._asked + self.waited

    @property
    def total(self) -> int:
        """What `done` comes to in the end."""
        return self.wanted + self.waiting

    @property
    def _asked(self) -> int:
        return self.answered + self.invalid + self.failed.total()

    def result(self, run_id: int, *, stopped: bool) -> TeachResult:
        """How it stands now."""
        return TeachResult(
            run_id=run_id,
            wanted=self.wanted,
            answered=self.answered,
            invalid=self.invalid,
            failed=dict(self.failed),
            left=self.wanted - self._asked,
            rechecked=self.rechecked,
            mended=self.mended,
            recheck_failed=dict(self.recheck_failed),
            prompt_tokens=self.prompt_tokens,
            answer_tokens=self.answer_tokens,
            said=dict(self.said),
            stopped=stopped,
        )
