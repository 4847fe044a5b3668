"""What each handling teaches: a table of every case, and what always holds."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.curation.handling import (
    Answered,
    Candidate,
    Decided,
    LeftOut,
    Rules,
    Taught,
    Why,
    handle,
)
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.db.models.review import Source, Verdict

CODES = ("hate", "scam", "threat")
SCAM = Answered(("scam",), "teacher's reason", ("fee",))
HATE = Answered(("hate",), "second reason", ("you",))
NOT_READ = Answered(None)
GOLD_SCAM = Decided(("scam",))
GOLD_HATE = Decided(("hate",), reason="gold reason", harmful=("g",))
GOLD_NONE = Decided(())
RIGHT = Decided(("scam",), Source.REVIEW, Verdict.RIGHT)
BAD = Decided(("scam",), Source.REVIEW, Verdict.BAD_REASON, "person's reason", ("p",))
WRONG = Decided(("hate",), Source.REVIEW, Verdict.WRONG_LABELS, "person's reason", ("p",))
WRONG_BARE = Decided(("hate",), Source.REVIEW, Verdict.WRONG_LABELS)
SCRATCH = Decided(("hate",), Source.REVIEW, Verdict.FROM_SCRATCH)
CANNOT = Decided(None, Source.REVIEW, Verdict.CANNOT_TELL)
DISCARD = Decided(None, Source.REVIEW, Verdict.DISCARD)

FIRST = Taught(("scam",), "teacher's reason", ("fee",), "teacher")
AGAIN = Taught(("hate",), "second reason", ("you",), "recheck")
CORRECTED = Taught(("scam",), "person's reason", ("p",), "teacher")
PEOPLE = Taught(("hate",), "person's reason", ("p",), "people")
PEOPLE_BARE = Taught(("hate",), None, (), "people")
GOLD = Taught(("hate",), "gold reason", ("g",), "people")


def train(answer: Answered | None, decision: Decided | None, recheck: Answered | None = None) -> Candidate:
    return Candidate(Split.TRAIN, answer=answer, recheck=recheck, decision=decision)


# item -> keep, drop, recheck-keep, recheck-drop, review
TABLE: dict[str, tuple[Candidate, tuple[Taught | Why, ...]]] = {
    "right by gold": (train(SCAM, GOLD_SCAM), (FIRST,) * 5),
    "right by review": (train(SCAM, RIGHT), (FIRST,) * 5),
    "right, rechecked all the same": (train(SCAM, GOLD_SCAM, HATE), (FIRST,) * 5),
    "right, bad reason": (train(SCAM, BAD), (FIRST, FIRST, FIRST, FIRST, CORRECTED)),
    "wrong by gold, not rechecked": (
        train(SCAM, GOLD_HATE),
        (FIRST, Why.WRONG, FIRST, Why.NOT_RECHECKED, GOLD),
    ),
    "wrong by gold, mended": (train(SCAM, GOLD_HATE, HATE), (FIRST, Why.WRONG, AGAIN, AGAIN, GOLD)),
    "wrong by gold, wrong again": (
        train(SCAM, GOLD_NONE, HATE),
        (FIRST, Why.WRONG, AGAIN, Why.WRONG_AGAIN, Taught((), None, (), "people")),
    ),
    "wrong by gold, recheck unreadable": (
        train(SCAM, GOLD_HATE, NOT_READ),
        (FIRST, Why.WRONG, FIRST, Why.NOT_RECHECKED, GOLD),
    ),
    "wrong by review": (train(SCAM, WRONG), (FIRST, Why.WRONG, FIRST, Why.NOT_RECHECKED, PEOPLE)),
    "wrong by review, mended": (train(SCAM, WRONG, HATE), (FIRST, Why.WRONG, AGAIN, AGAIN, PEOPLE)),
    "wrong by review, no reason": (
        train(SCAM, WRONG_BARE, HATE),
        (FIRST, Why.WRONG, AGAIN, AGAIN, PEOPLE_BARE),
    ),
    "nobody decided": (train(SCAM, None), (FIRST, *(Why.UNVERIFIED,) * 4)),
    "cannot tell": (train(SCAM, CANNOT, HATE), (Why.CANNOT_TELL,) * 5),
    "discarded": (train(SCAM, DISCARD, HATE), (Why.DISCARDED,) * 5),
    "discarded without an answer": (train(None, DISCARD), (Why.DISCARDED,) * 5),
    "no answer, nobody decided": (train(None, None), (Why.NO_ANSWER,) * 5),
    "no answer, gold": (train(None, GOLD_HATE), (Why.NO_ANSWER,) * 5),
    "no answer, judged from scratch": (train(None, SCRATCH), (*(Why.NO_ANSWER,) * 4, PEOPLE_BARE)),
    "unreadable, nobody decided": (train(NOT_READ, None), (Why.UNREADABLE,) * 5),
    "unreadable, gold": (train(NOT_READ, GOLD_HATE), (Why.UNREADABLE,) * 5),
    "unreadable, judged from scratch": (train(NOT_READ, SCRATCH), (*(Why.UNREADABLE,) * 4, PEOPLE_BARE)),
    "in the test split": (Candidate(Split.TEST, answer=SCAM, decision=RIGHT), (Why.TEST,) * 5),
    "in an evaluation set": (
        Candidate(Split.TRAIN, held_out=True, answer=SCAM, decision=RIGHT),
        (Why.HELD_OUT,) * 5,
    ),
}


@pytest.mark.parametrize("handling", Handling)
@pytest.mark.parametrize("case", TABLE)
def test_the_table(case: str, handling: Handling) -> None:
    row, expected = TABLE[case]
    wanted = expected[list(Handling).index(handling)]
    outcome = handle(row, Rules(handling, CODES))
    assert outcome == (LeftOut(wanted) if isinstance(wanted, Why) else wanted)


@pytest.mark.parametrize("handling", Handling)
def test_what_nearly_repeats_a_post_of_a_set_is_never_taught(handling: Handling) -> None:
    row = Candidate(Split.VALIDATION, answer=SCAM, decision=RIGHT, nearly="HateCheck")
    outcome = handle(row, Rules(handling, CODES, include_unverified=True))
    assert isinstance(outcome, LeftOut)
    assert outcome.reason == "nearly the same as a post of HateCheck"
    assert handle(replace(row, held_out=True), Rules(handling, CODES)) == LeftOut(Why.HELD_OUT)


@pytest.mark.parametrize("handling", Handling)
def test_unverified_answers_are_used_where_asked_for(handling: Handling) -> None:
    rules = Rules(handling, CODES, include_unverified=True)
    assert handle(train(SCAM, None), rules) == FIRST
    assert handle(train(SCAM, DISCARD), rules) == LeftOut(Why.DISCARDED)
    assert handle(train(NOT_READ, None), rules) == LeftOut(Why.UNREADABLE)


def test_imported_labels_without_an_answer_are_used_in_review_where_asked_for() -> None:
    for answer, why in ((None, Why.NO_ANSWER), (NOT_READ, Why.UNREADABLE)):
        for handling in Handling:
            outcome = handle(train(answer, GOLD_HATE), Rules(handling, CODES, include_unanswered=True))
            assert outcome == (GOLD if handling is Handling.REVIEW else LeftOut(why))


def test_a_reason_that_was_called_bad_is_never_taught_in_review() -> None:
    bad = Decided(("scam",), Source.REVIEW, Verdict.BAD_REASON, None)
    assert handle(train(SCAM, bad), Rules(Handling.REVIEW, CODES)) == Taught(("scam",), None, (), "teacher")


def test_a_right_answer_without_a_reason_takes_the_persons() -> None:
    bare = Answered(("hate",), "  \n")
    assert handle(train(bare, GOLD_HATE), Rules(Handling.REVIEW, CODES)) == Taught(
        ("hate",), "gold reason", ("g",), "teacher"
    )
    assert handle(train(bare, GOLD_HATE), Rules(Handling.DROP, CODES)) == Taught(
        ("hate",), None, (), "teacher"
    )


def test_a_gold_reason_does_not_replace_that_of_a_right_answer() -> None:
    gold = Decided(("scam",), reason="gold reason")
    assert handle(train(SCAM, gold), Rules(Handling.REVIEW, CODES)) == FIRST


def test_labels_are_in_the_policys_order_and_in_the_policy() -> None:
    both = Answered(("threat", "hate"), "why")
    assert handle(train(both, None), Rules(Handling.KEEP, CODES)) == Taught(
        ("hate", "threat"), "why", (), "teacher"
    )
    assert handle(train(both, None), Rules(Handling.KEEP, ("hate",))) == LeftOut(Why.OTHER_POLICY)


LABELS = st.lists(st.sampled_from(CODES), unique=True, max_size=2).map(tuple)
ANSWERS = st.builds(Answered, st.none() | LABELS, st.sampled_from(["", "why"]), st.just(("fee",)))
DECISIONS = st.builds(
    Decided,
    st.none() | LABELS,
    st.sampled_from(Source),
    st.sampled_from([None, *Verdict]),
    st.sampled_from([None, " ", "person's"]),
)
CANDIDATES = st.builds(
    Candidate,
    st.sampled_from(Split),
    st.booleans(),
    st.none() | ANSWERS,
    st.none() | ANSWERS,
    st.none() | DECISIONS,
    st.none() | st.just("HateCheck"),
)


@given(CANDIDATES, st.booleans(), st.booleans())
def test_what_always_holds(row: Candidate, unverified: bool, unanswered: bool) -> None:
    outcomes = {
        handling: handle(row, Rules(handling, CODES, unverified, unanswered)) for handling in Handling
    }
    taught = {handling: one for handling, one in outcomes.items() if isinstance(one, Taught)}
    # Each of these teaches whatever the one before it teaches.
    for less, more in (
        (Handling.DROP, Handling.RECHECK_DROP),
        (Handling.RECHECK_DROP, Handling.REVIEW),
        (Handling.RECHECK_DROP, Handling.RECHECK_KEEP),
        (Handling.RECHECK_KEEP, Handling.KEEP),
    ):
        assert less not in taught or more in taught
    assert not taught or (row.split is not Split.TEST and not row.held_out and row.nearly is None)
    if row.decision is not None:
        assert row.decision.labels is not None or not taught
        # Nothing that people decided otherwise is taught by those that leave wrong answers out.
        for handling in (Handling.DROP, Handling.RECHECK_DROP, Handling.REVIEW):
            if handling in taught:
                assert set(taught[handling].labels) == set(row.decision.labels or ())
    for one in taught.values():
        assert one.labels == tuple(code for code in CODES if code in one.labels)
        assert one.analysis is None or one.analysis.strip()


@given(CANDIDATES)
def test_asking_for_more_never_leaves_out_what_was_taught(row: Candidate) -> None:
    for handling in Handling:
        plain = handle(row, Rules(handling, CODES))
        more = handle(row, Rules(handling, CODES, include_unverified=True, include_unanswered=True))
        assert isinstance(plain, LeftOut) or plain == more
