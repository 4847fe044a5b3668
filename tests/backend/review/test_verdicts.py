"""What each verdict stores, and what it refuses."""

import pytest

from backend.db.models.content import Agreement
from backend.db.models.review import Source, Verdict
from backend.errors import InvalidInputError
from backend.review.verdicts import Judged, Shown, judge, why_shown

CODES = ("hate", "scam", "threat")
TEXT = "Pay the 1.99 fee here"
ANSWER = Shown(7, ("scam",), ("1.99 fee",))


def said(verdict: Verdict, answer: Shown | None = ANSWER, **parts: object) -> Judged:
    return judge(verdict, text=TEXT, answer=answer, codes=CODES, **parts)  # type: ignore[arg-type]


def test_right_takes_the_teachers_labels_and_leaves_its_reason() -> None:
    assert said(Verdict.RIGHT) == Judged(Verdict.RIGHT, ("scam",), None, (), 7)


def test_wrong_labels_takes_the_persons_in_the_policys_order() -> None:
    judged = said(
        Verdict.WRONG_LABELS, labels=["threat", "hate"], reason=" because ", harmful=["pay THE", "pay THE"]
    )
    assert judged == Judged(Verdict.WRONG_LABELS, ("hate", "threat"), "because", ("pay THE",), 7)


def test_a_post_that_breaks_no_rule_has_nothing_harmful_to_quote() -> None:
    judged = said(Verdict.WRONG_LABELS, labels=[], reason="", harmful=["1.99 fee"])
    assert judged == Judged(Verdict.WRONG_LABELS, (), None, (), 7)


def test_bad_reason_keeps_the_labels_and_unless_changed_the_quotes() -> None:
    assert said(Verdict.BAD_REASON, reason="better") == Judged(
        Verdict.BAD_REASON, ("scam",), "better", ("1.99 fee",), 7
    )
    assert said(Verdict.BAD_REASON, reason="better", harmful=["fee here"]).harmful == ("fee here",)
    assert said(Verdict.BAD_REASON, reason="better", harmful=[]).harmful == ()


def test_a_quote_of_the_teachers_that_is_not_in_the_post_may_stay() -> None:
    answer = Shown(7, ("scam",), ("pay us",))
    assert said(Verdict.BAD_REASON, answer, reason="r", harmful=["pay us"]).harmful == ("pay us",)


@pytest.mark.parametrize("verdict", [Verdict.CANNOT_TELL, Verdict.DISCARD])
def test_what_is_dropped_has_no_labels(verdict: Verdict) -> None:
    assert said(verdict, labels=["scam"], harmful=["fee"]) == Judged(verdict, None, None, (), 7)
    assert said(verdict, None).answer_id is None


def test_from_scratch_needs_no_answer() -> None:
    assert said(Verdict.FROM_SCRATCH, None, labels=["hate"], reason="why") == Judged(
        Verdict.FROM_SCRATCH, ("hate",), "why", (), None
    )


def test_what_no_database_takes_is_left_out_of_a_reason() -> None:
    assert said(Verdict.BAD_REASON, reason="a\x00b\ud800c").reason == "abc"


@pytest.mark.parametrize(
    ("verdict", "answer", "parts", "message"),
    [
        (Verdict.RIGHT, None, {}, "no answer"),
        (Verdict.RIGHT, Shown(7, ("gone",), ()), {}, "no longer has"),
        (Verdict.WRONG_LABELS, ANSWER, {}, "No labels were chosen"),
        (Verdict.WRONG_LABELS, ANSWER, {"labels": ["scam"]}, "labels that the teacher gave"),
        (Verdict.WRONG_LABELS, ANSWER, {"labels": ["nope"]}, "no category 'nope'"),
        (Verdict.WRONG_LABELS, ANSWER, {"labels": ["hate"], "harmful": ["refund"]}, "does not say"),
        (Verdict.WRONG_LABELS, None, {"labels": ["hate"]}, "no answer"),
        (Verdict.BAD_REASON, ANSWER, {}, "needs a better one"),
        (Verdict.BAD_REASON, ANSWER, {"reason": " \n"}, "needs a better one"),
        (Verdict.FROM_SCRATCH, None, {}, "No labels were chosen"),
        (Verdict.WITHDRAWN, ANSWER, {}, "undo"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    verdict: Verdict, answer: Shown | None, parts: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message) as refused:
        said(verdict, answer, **parts)
    assert refused.value.hint


def test_why_an_item_is_shown() -> None:
    assert why_shown(Agreement.FALSE_ALARM, Source.GOLD, sent_back=False) == "disagrees with gold"
    assert why_shown(Agreement.AGREES, Source.GOLD, sent_back=False) == "agrees with gold"
    assert why_shown(Agreement.MISSED, Source.REVIEW, sent_back=True) == "sent back"
    assert why_shown(Agreement.UNVERIFIED, None, sent_back=False) == "nobody has decided on it"
    assert {why_shown(agreement, None, sent_back=False) for agreement in Agreement}
