"""What is taught of an item under each handling: values in, values out.

The handlings differ in what they do with a wrong answer (paper, settings A to D, and ours):

    keep          used as it is; the only one that uses answers nobody has decided on
    drop          left out
    recheck-keep  the second answer is used, even if wrong again; without one, the first
    recheck-drop  the second answer is used if it is right; else left out
    review        people's labels and reason are used; what nobody decided as in recheck-drop

Wrong means: other labels than the decision's. A right answer keeps the teacher's reason; in
`review` the person's, where they called it bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.db.models.review import Source, Verdict

Origin = Literal["teacher", "recheck", "people"]


class Why(StrEnum):
    """Why an item is left out, in words."""

    TEST = "in the test split"
    HELD_OUT = "also in an evaluation set"
    NEARLY = "nearly the same as a post of"  # an evaluation set's name follows
    CANNOT_TELL = "a person could not tell"
    DISCARDED = "a person discarded it"
    NO_ANSWER = "the teacher has not answered"
    UNREADABLE = "the teacher's answer could not be read"
    UNVERIFIED = "nobody has decided on it"
    WRONG = "the teacher is wrong"
    NOT_RECHECKED = "the teacher is wrong and was not asked again"
    WRONG_AGAIN = "the teacher is wrong, and wrong again when asked once more"
    OTHER_POLICY = "its labels are not in the policy"
    CATEGORY = "of the category that this version never shows"
    NOT_DRAWN = "not drawn, so that the version has as many rows as were asked for"


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer; `labels` is None where it could not be read."""

    labels: tuple[str, ...] | None
    analysis: str = ""
    harmful: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """What stands for an item; `labels` is None where people dropped it."""

    labels: tuple[str, ...] | None
    source: Source = Source.GOLD
    verdict: Verdict | None = None
    reason: str | None = None
    harmful: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item with what the teacher and people said of it.

    `nearly` names an evaluation set, or the test split, of which it nearly repeats a post.
    """

    split: Split
    held_out: bool = False
    answer: Answered | None = None
    recheck: Answered | None = None
    decision: Decided | None = None
    nearly: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How a dataset is made.

    Attributes:
        handling: what becomes of wrong answers.
        codes: the policy's categories, in its order.
        include_unverified: also use answers that nobody has decided on.
        include_unanswered: in `review`, also use imported labels where there is no answer.
    """

    handling: Handling
    codes: Sequence[str]
    include_unverified: bool = False
    include_unanswered: bool = False


@dataclass(frozen=True, slots=True)
class Taught:
    """What is taught. Without an analysis only the direct form can be."""

    labels: tuple[str, ...]
    analysis: str | None
    harmful: tuple[str, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The item is not taught. `of` ends a reason that needs a name."""

    why: Why
    of: str = ""

    @property
    def reason(self) -> str:
        """Why, in words."""
        return f"{self.why.value} {self.of}" if self.of else self.why.value


def handle(row: Candidate, rules: Rules) -> Taught | LeftOut:
    """What is taught of an item, or why nothing is."""
    if row.split is Split.TEST:
        return LeftOut(Why.TEST)
    if row.held_out:
        return LeftOut(Why.HELD_OUT)
    if row.nearly is not None:
        return LeftOut(Why.NEARLY, row.nearly)
    if row.decision is not None and row.decision.labels is None:
        return LeftOut(Why.CANNOT_TELL if row.decision.verdict is Verdict.CANNOT_TELL else Why.DISCARDED)
    taught = _review(row, rules) if rules.handling is Handling.REVIEW else _teacher(row, rules)
    return taught if isinstance(taught, LeftOut) else _in_policy(taught, rules.codes)


def _teacher(row: Candidate, rules: Rules) -> Taught | LeftOut:
    """What the teacher said, as far as the handling trusts it."""
    answer = row.answer
    if answer is None or answer.labels is None:
        return _unusable(answer)
    handling = rules.handling
    if row.decision is None:
        trusted = handling is Handling.KEEP or rules.include_unverified
        return _say(answer, "teacher") if trusted else LeftOut(Why.UNVERIFIED)
    if handling is Handling.KEEP or _right(answer, row.decision):
        return _say(answer, "teacher")
    if handling is Handling.DROP:
        return LeftOut(Why.WRONG)
    again = row.recheck if row.recheck is not None and row.recheck.labels is not None else None
    if handling is Handling.RECHECK_KEEP:
        return _say(again, "recheck") if again else _say(answer, "teacher")
    if again is None:
        return LeftOut(Why.NOT_RECHECKED)
    return _say(again, "recheck") if _right(again, row.decision) else LeftOut(Why.WRONG_AGAIN)


def _review(row: Candidate, rules: Rules) -> Taught | LeftOut:
    """What people decided; what nobody decided as in recheck-drop."""
    decision, answer = row.decision, row.answer
    if decision is None:
        return _teacher(row, rules)
    if answer is not None and answer.labels is not None:
        return _corrected(answer, decision) if _right(answer, decision) else _people(decision)
    if decision.source is Source.GOLD and not rules.include_unanswered:
        return _unusable(answer)
    return _people(decision)


def _corrected(answer: Answered, decision: Decided) -> Taught:
    """A right answer: its reason, or the person's where they gave one here in its stead."""
    said = _say(answer, "teacher")
    reason = _text(decision.reason)
    judged_here = decision.source is not Source.GOLD
    if decision.verdict is Verdict.BAD_REASON or (reason and (judged_here or said.analysis is None)):
        return Taught(said.labels, reason, decision.harmful if reason else (), said.origin)
    return said


def _people(decision: Decided) -> Taught:
    assert decision.labels is not None, "a dropped item was left out before"
    return Taught(decision.labels, _text(decision.reason), decision.harmful, "people")


def _say(answer: Answered, origin: Origin) -> Taught:
    assert answer.labels is not None, "an unreadable answer was left out before"
    return Taught(answer.labels, _text(answer.analysis), answer.harmful, origin)


def _right(answer: Answered, decision: Decided) -> bool:
    return set(answer.labels or ()) == set(decision.labels or ())


def _unusable(answer: Answered | None) -> LeftOut:
    return LeftOut(Why.NO_ANSWER if answer is None else Why.UNREADABLE)


def _in_policy(taught: Taught, codes: Sequence[str]) -> Taught | LeftOut:
    """The labels in the policy's order, so that equal rows are equal byte for byte."""
    labels = set(taught.labels)
    if not labels <= set(codes):
        return LeftOut(Why.OTHER_POLICY)
    ordered = tuple(code for code in codes if code in labels)
    if ordered == taught.labels:
        return taught
    return Taught(ordered, taught.analysis, taught.harmful, taught.origin)


def _text(text: str | None) -> str | None:
    """A reason, or None for one that is only white space."""
    return text if text and text.strip() else None
