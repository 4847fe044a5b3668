"""What stands for an item, worked by hand."""

from backend.db.models.content import Agreement, Queue
from backend.db.models.review import Source, Verdict
from backend.items.decision import DIFFERING_RANK, Answered, Said, derive, standing

GOLD = Said(1, Source.GOLD, "import", ("scam",))
REVIEW = Said(2, Source.REVIEW, "ada", (), Verdict.WRONG_LABELS)


def test_a_review_outweighs_gold_and_adjudication_both() -> None:
    adjudicated = Said(3, Source.ADJUDICATION, "lead", ("hate",))
    later_review = Said(4, Source.REVIEW, "bo", ("scam",), Verdict.RIGHT)
    assert standing([GOLD, REVIEW]) == REVIEW
    assert standing([GOLD, adjudicated, later_review]) == adjudicated
    assert standing([]) is None


def test_the_later_review_stands_until_it_is_withdrawn() -> None:
    later = Said(3, Source.REVIEW, "ada", ("hate",), Verdict.WRONG_LABELS)
    undo = Said(4, Source.REVIEW, "ada", None, Verdict.WITHDRAWN, supersedes_id=3)
    assert standing([GOLD, REVIEW, later]) == later
    assert standing([GOLD, REVIEW, later, undo]) == REVIEW


def test_agreement_names_the_kind_of_mistake() -> None:
    def agreement(teacher: tuple[str, ...] | None, people: tuple[str, ...] | None) -> Agreement:
        return derive([Said(1, Source.GOLD, "import", people)], Answered(1, teacher)).agreement

    assert agreement(("scam",), ("scam",)) is Agreement.AGREES
    assert agreement(("a", "b"), ("b", "a")) is Agreement.AGREES
    assert agreement(("scam",), ()) is Agreement.FALSE_ALARM
    assert agreement((), ("scam",)) is Agreement.MISSED
    assert agreement(("hate",), ("scam",)) is Agreement.OTHER_LABELS
    assert agreement(None, ("scam",)) is Agreement.INVALID
    assert agreement(("scam",), None) is Agreement.DROPPED
    assert derive([], Answered(1, ())).agreement is Agreement.UNVERIFIED
    assert derive([GOLD], None).agreement is Agreement.UNANSWERED


def test_the_queue_asks_for_disagreement_first() -> None:
    differs = derive([GOLD], Answered(1, ()))
    unverified = derive([], Answered(1, ()))
    agrees = derive([GOLD], Answered(1, ("scam",)))
    assert [state.queue for state in (differs, unverified, agrees)] == [Queue.TEACHER] * 3
    assert differs.queue_rank < unverified.queue_rank < agrees.queue_rank


def test_test_posts_come_last_of_those_of_their_kind() -> None:
    states = [
        derive(judgements, Answered(1, labels), test=test)
        for judgements, labels in (([GOLD], ()), ([], ()), ([GOLD], ("scam",)))
        for test in (False, True)
    ]
    ranks = [state.queue_rank for state in states]
    assert ranks == sorted(set(ranks))
    assert [rank <= DIFFERING_RANK for rank in ranks] == [True, True, False, False, False, False]
    assert derive([GOLD], Answered(1, ()), sent_back=True, test=True).queue_rank == 0


def test_what_a_person_judged_leaves_the_queue_unless_sent_back() -> None:
    assert derive([GOLD, REVIEW], Answered(1, ("scam",))).queue is None
    sent_back = derive([GOLD, REVIEW], Answered(1, ("scam",)), sent_back=True)
    assert (sent_back.queue, sent_back.queue_rank) == (Queue.TEACHER, 0)


def test_without_an_answer_the_item_is_judged_from_scratch() -> None:
    assert derive([], None).queue is Queue.SCRATCH
    assert derive([], Answered(1, None)).queue is Queue.SCRATCH
    assert derive([GOLD], None).queue is None
