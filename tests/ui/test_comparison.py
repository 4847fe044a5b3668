"""Which of two models the page recommends."""

from backend.evaluation.results import Comparison, Difference
from tests.backend.evaluation.build import UNKNOWN, figures_of_two
from ui.components.comparison import is_better

AHEAD = Difference(0.7, 0.1, 0.6, 0.45, 0.75)
UNSURE = Difference(0.5, 0.4, 0.1, -0.1, 0.3)


def compared(any_f1: Difference, exact_match: Difference) -> Comparison:
    return Comparison(
        a_id=1,
        b_id=2,
        a_name="Run 1",
        b_name="Base model",
        set_id=1,
        posts=40,
        sentence="",
        **figures_of_two(any_f1=any_f1, exact_match=exact_match),
    )


def test_the_one_that_is_clearly_ahead_is_recommended() -> None:
    assert is_better(1, compared(AHEAD, AHEAD))
    assert not is_better(2, compared(AHEAD, AHEAD))
    assert not is_better(1, compared(UNSURE, AHEAD))


def test_where_nothing_is_to_be_found_none_is_recommended() -> None:
    # A model that flags nothing would win there.
    assert not is_better(1, compared(UNKNOWN, AHEAD))
