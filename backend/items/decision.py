"""The decision on an item and what follows from it: values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.db.models.content import Agreement, Queue
from backend.db.models.review import Source, Verdict

_WEIGHT = {Source.GOLD: 0, Source.REVIEW: 1, Source.ADJUDICATION: 2}
# The number after each is that of its test posts: they come after those that students learn from.
_RANK = {
    Agreement.FALSE_ALARM: 1,
    Agreement.MISSED: 1,
    Agreement.OTHER_LABELS: 1,
    Agreement.UNVERIFIED: 3,
    Agreement.AGREES: 5,
}
DIFFERING_RANK = 2
"""Up to this place in the queue an item differs from the decision, or was sent back."""


@dataclass(frozen=True, slots=True)
class Said:
    """A judgement's values. `id` grows with time."""

    id: int
    source: Source
    person: str
    labels: tuple[str, ...] | None
    verdict: Verdict | None = None
    supersedes_id: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A teacher's first answer; `labels` is None where it could not be read."""

    id: int
    labels: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class State:
    """Everything about an item that follows from its answer and judgements."""

    agreement: Agreement
    answer_id: int | None = None
    decision_id: int | None = None
    decision_source: Source | None = None
    verdict: Verdict | None = None
    labels: tuple[str, ...] = ()
    queue: Queue | None = None
    queue_rank: int = 0


def standing(judgements: Sequence[Said]) -> Said | None:
    """The judgement that stands: adjudication before review before gold, then the latest.

    A withdrawal takes back the judgement that it supersedes, and what that one had
    superseded stands again.
    """
    withdrawn = {said.supersedes_id for said in judgements if said.verdict is Verdict.WITHDRAWN}
    live = [said for said in judgements if said.verdict is not Verdict.WITHDRAWN and said.id not in withdrawn]
    return max(live, key=lambda said: (_WEIGHT[said.source], said.id), default=None)


def compare(answer: Answered | None, decision: Said | None) -> Agreement:
    """How the teacher's first answer stands to the decision."""
    if decision is not None and decision.labels is None:
        return Agreement.DROPPED
    if answer is None:
        return Agreement.UNANSWERED
    if answer.labels is None:
        return Agreement.INVALID
    if decision is None or decision.labels is None:
        return Agreement.UNVERIFIED
    teacher, people = set(answer.labels), set(decision.labels)
    if teacher == people:
        return Agreement.AGREES
    if not people:
        return Agreement.FALSE_ALARM
    if not teacher:
        return Agreement.MISSED
    return Agreement.OTHER_LABELS


def derive(
    judgements: Sequence[Said], answer: Answered | None, *, sent_back: bool = False, test: bool = False
) -> State:
    """What stands for an item now, and the queue that it waits in.

    Args:
        judgements: everything that people said of it.
        answer: the teacher's first answer.
        sent_back: a person wants it judged again.
        test: it is of the test split.
    """
    decision = standing(judgements)
    agreement = compare(answer, decision)
    reviewed = decision is not None and decision.source is not Source.GOLD
    readable = answer is not None and answer.labels is not None
    queue: Queue | None = None
    if sent_back or (readable and not reviewed):
        queue = Queue.TEACHER if readable else Queue.SCRATCH
    elif decision is None:
        queue = Queue.SCRATCH
    return State(
        agreement=agreement,
        answer_id=answer.id if answer else None,
        decision_id=decision.id if decision else None,
        decision_source=decision.source if decision else None,
        verdict=decision.verdict if decision else None,
        labels=(decision.labels or ()) if decision else (),
        queue=queue,
        queue_rank=0 if sent_back else _RANK.get(agreement, 3) + test,
    )
