"""What a verdict stores, and why an item is shown: values in, values out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from backend.db.models.content import Agreement
from backend.db.models.review import Source, Verdict
from backend.errors import InvalidInputError
from backend.review.marks import spans

_WHY = {
    Agreement.UNANSWERED: "the teacher has not answered",
    Agreement.INVALID: "the teacher's answer could not be read",
    Agreement.UNVERIFIED: "nobody has decided on it",
    Agreement.DROPPED: "was dropped",
}
_DIFFERS = (Agreement.FALSE_ALARM, Agreement.MISSED, Agreement.OTHER_LABELS)


@dataclass(frozen=True, slots=True)
class Shown:
    """The teacher's answer that a person judges."""

    id: int
    labels: tuple[str, ...]
    harmful: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """What is stored of a verdict."""

    verdict: Verdict
    labels: tuple[str, ...] | None
    reason: str | None
    harmful: tuple[str, ...]
    answer_id: int | None


def why_shown(agreement: Agreement, decision: Source | None, *, sent_back: bool) -> str:
    """Why an item waits in its queue, in words."""
    if sent_back:
        return "sent back"
    whom = "gold" if decision is Source.GOLD else "the decision"
    if agreement in _DIFFERS:
        return f"disagrees with {whom}"
    if agreement is Agreement.AGREES:
        return f"agrees with {whom}"
    return _WHY[agreement]


def judge(
    verdict: Verdict,
    *,
    text: str,
    answer: Shown | None,
    codes: Sequence[str],
    labels: Collection[str] | None = None,
    reason: str | None = None,
    harmful: Sequence[str] | None = None,
) -> Judged:
    """Check what a person said and complete it.

    Args:
        text: the post, in which the person's quotes must lie.
        answer: the teacher's answer that was shown.
        codes: the policy's categories, in its order.
        labels: the labels chosen; needed where the teacher's are wrong or there are none.
        reason: the person's own reason.
        harmful: quotes from the post; None leaves the teacher's where its labels are right.

    Raises:
        InvalidInputError: the parts do not fit the verdict, the policy or the post.
    """
    reason = _clean(reason) or None
    if verdict is Verdict.WITHDRAWN:
        raise InvalidInputError("A judgement is taken back with undo.", "Undo the last one instead.")
    if verdict in (Verdict.CANNOT_TELL, Verdict.DISCARD):
        return Judged(verdict, None, reason, (), answer.id if answer else None)
    if verdict is Verdict.FROM_SCRATCH:
        chosen = _chosen(labels, codes)
        return Judged(verdict, chosen, reason, _quotes(harmful, chosen, text), None)
    if answer is None:
        raise InvalidInputError(
            "There is no answer of the teacher to judge.", "Judge this post from scratch: choose its labels."
        )
    if verdict is Verdict.WRONG_LABELS:
        chosen = _chosen(labels, codes)
        if set(chosen) == set(answer.labels):
            raise InvalidInputError(
                "These are the labels that the teacher gave.",
                "Choose other labels, or say that the teacher is right or that its reason is bad.",
            )
        return Judged(verdict, chosen, reason, _quotes(harmful, chosen, text), answer.id)
    return _right_labels(verdict, text, answer, codes, reason, harmful)


def _right_labels(
    verdict: Verdict,
    text: str,
    answer: Shown,
    codes: Sequence[str],
    reason: str | None,
    harmful: Sequence[str] | None,
) -> Judged:
    gone = sorted(set(answer.labels).difference(codes))
    if gone:
        raise InvalidInputError(
            f"The teacher named {gone[0]!r}, which the policy no longer has.",
            "Say that the labels are wrong and choose the right ones.",
        )
    kept = _chosen(answer.labels, codes)
    if verdict is Verdict.RIGHT:
        return Judged(verdict, kept, None, (), answer.id)
    if reason is None:
        raise InvalidInputError("A bad reason needs a better one.", "Write what the reason should be.")
    if harmful is None:
        return Judged(verdict, kept, reason, answer.harmful, answer.id)
    return Judged(verdict, kept, reason, _quotes(harmful, kept, text, known=answer.harmful), answer.id)


def _chosen(labels: Collection[str] | None, codes: Sequence[str]) -> tuple[str, ...]:
    if labels is None:
        raise InvalidInputError("No labels were chosen.", "Choose the categories, or none of them.")
    unknown = sorted(set(labels).difference(codes))
    if unknown:
        raise InvalidInputError(
            f"The policy has no category {unknown[0]!r}.", f"Its categories are {', '.join(codes)}."
        )
    return tuple(code for code in codes if code in set(labels))


def _quotes(
    harmful: Sequence[str] | None, labels: Sequence[str], text: str, *, known: Sequence[str] = ()
) -> tuple[str, ...]:
    """The quotes, each of which must be in the post. Where no rule is broken there are none."""
    if not labels:
        return ()
    cleaned = tuple(dict.fromkeys(quote for quote in map(_clean, harmful or ()) if quote))
    for quote in cleaned:
        if quote not in known and not spans(text, [quote]):
            raise InvalidInputError(f"The post does not say “{quote}”.", "Quote it as it stands in the post.")
    return cleaned


def _clean(text: str | None) -> str:
    """Without what no database takes (NUL, half a surrogate pair) and without white space around."""
    kept = (text or "").replace("\x00", "").encode("utf-8", "ignore").decode("utf-8")
    return kept.strip()
