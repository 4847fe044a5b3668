"""What becomes of judgements when a category is removed, worked by hand."""

from backend.db.models.review import Source, Verdict
from backend.items.decision import Said
from backend.policies.fates import Carried, Fate, carry_over


def gold(number: int, *labels: str) -> Said:
    return Said(number, Source.GOLD, "import", labels)


def review(number: int, *labels: str) -> Said:
    return Said(number, Source.REVIEW, "ada", labels, Verdict.WRONG_LABELS)


def test_only_what_stands_is_carried() -> None:
    assert carry_over([gold(1, "a"), gold(2, "b")], {"a": "c"}) == Fate((), False)
    assert carry_over([gold(1, "b"), gold(2, "a", "c")], {"a": "c"}) == Fate((Carried(2, ("c",)),), False)


def test_what_was_withdrawn_or_could_not_be_told_stays_so() -> None:
    undone = Said(3, Source.REVIEW, "ada", None, Verdict.WITHDRAWN, supersedes_id=2)
    cannot = Said(4, Source.REVIEW, "ada", None, Verdict.CANNOT_TELL)
    assert carry_over([gold(1, "b"), review(2, "a"), undone], {"a": None}) == Fate((), False)
    assert carry_over([cannot], {"a": None}) == Fate((), False)


def test_earlier_judgements_do_not_rise_again() -> None:
    fate = carry_over([review(1, "a"), review(2, "a", "b")], {"a": None})
    assert fate == Fate((Carried(2, None), Carried(1, None)), True)
    # An earlier one that can stand does.
    fate = carry_over([review(1, "b"), review(2, "a")], {"a": None})
    assert fate == Fate((Carried(2, None),), True)


def test_gold_under_a_review_is_taken_back_without_a_new_judgement() -> None:
    assert carry_over([gold(1, "a"), review(2, "b")], {"a": None}) == Fate((Carried(1, None),), False)


def test_mapped_and_unmapped_together() -> None:
    fates = {"a": "c", "b": None}
    assert carry_over([gold(1, "a", "b")], fates) == Fate((Carried(1, None),), True)
    assert carry_over([gold(1, "a")], fates) == Fate((Carried(1, ("c",)),), False)
