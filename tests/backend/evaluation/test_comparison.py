"""Two models on the same posts, and what is said of them."""

from dataclasses import replace

import numpy as np
import pytest

from backend.evaluation.comparison import (
    differences,
    sentence,
    share_text,
    single_posts,
    yardstick_sentence,
)
from backend.evaluation.judged import Judged, shared
from backend.evaluation.results import CategoryComparison, Difference, Differences
from tests.backend.evaluation.build import UNKNOWN, figures_of_two, random_judged

NAMES = {"c0": "hate", "c1": "scams", "c2": "threats"}


def compared(a: Judged, b: Judged) -> Differences:
    return differences(a, b, names=NAMES, resamples=300)


def test_a_model_beside_itself() -> None:
    model = random_judged(posts=120, codes=3, seed=1)
    found = compared(model, model)
    assert (found.macro_f1.difference, found.macro_f1.low, found.macro_f1.high) == (0, 0, 0)
    assert not found.macro_f1.clear
    assert (found.only_a_right, found.only_b_right) == (0, 0)
    assert found.both_right + found.neither_right == 120
    assert sentence("run 1", "run 1", found).startswith("No clear difference overall between run 1 and run 1")


def test_a_better_model_is_clearly_better() -> None:
    good, bad = (random_judged(posts=400, codes=3, seed=2, noise=noise) for noise in (0.8, 2.0))
    found = compared(good, bad)
    assert found.macro_f1.clear and found.macro_f1.difference is not None and found.macro_f1.difference > 0
    assert found.macro_auprc.clear
    assert found.any_f1.a is not None and found.any_auprc.a is not None
    assert found.only_a_right > found.only_b_right
    turned = compared(bad, good)
    assert turned.macro_f1.difference == -found.macro_f1.difference
    assert (turned.only_a_right, turned.only_b_right) == (found.only_b_right, found.only_a_right)


def test_only_what_both_know_and_judged_is_compared() -> None:
    a = random_judged(posts=50, codes=3, seed=3)
    b = random_judged(posts=50, codes=3, seed=3, noise=2).over(("c2", "c0")).take(np.arange(10, 50))
    of_a, of_b = shared(a, b)
    assert of_a.codes == of_b.codes == ("c0", "c2")
    assert of_a.row_ids.tolist() == of_b.row_ids.tolist() == list(range(11, 51))
    assert np.array_equal(of_a.gold, of_b.gold)


def test_a_teacher_has_no_auprc_to_compare() -> None:
    model = random_judged(posts=60, codes=2, seed=4)
    teacher = Judged(model.row_ids, model.codes, model.gold, model.gold, model.positive, model.positive)
    found = compared(model, teacher)
    assert found.macro_auprc.difference is None
    assert found.categories[0].auprc.b is None
    assert found.macro_f1.clear


def test_categories_are_called_different_for_all_of_them_having_been_looked_at() -> None:
    """Under no difference at all, one of ten categories may stand out alone; Holm keeps quiet about it."""
    alone = together = 0
    for seed in range(40):
        a, b = (random_judged(posts=150, codes=10, seed=seed, noise=1.5) for _ in range(2))
        random = np.random.default_rng(seed)
        named = np.where(
            random.random(a.named.shape) < 0.5, a.named, a.gold ^ (random.random(a.named.shape) < 0.15)
        )
        other = np.where(
            random.random(a.named.shape) < 0.5, a.named, a.gold ^ (random.random(a.named.shape) < 0.15)
        )
        names = {code: code for code in a.codes}
        of_both = differences(replace(a, named=named), replace(b, named=other), names=names, resamples=300)
        alone += any(one.f1.clear for one in of_both.categories)
        together += any(one.clear for one in of_both.categories)
    assert alone >= 8
    assert together <= 6


def test_each_category_says_who_was_right_alone() -> None:
    gold = np.array([[1, 0], [1, 1], [0, 0], [1, 0]], dtype=bool)
    a = np.array([[1, 0], [1, 0], [0, 0], [1, 1]], dtype=bool)
    b = np.array([[0, 0], [0, 1], [1, 0], [1, 0]], dtype=bool)
    models = [
        Judged(np.arange(4), ("c0", "c1"), gold, named, gold.any(axis=1), named.any(axis=1))
        for named in (a, b)
    ]
    first, second = compared(*models).categories
    assert (first.only_a_right, first.only_b_right) == (3, 0)
    assert (second.only_a_right, second.only_b_right) == (0, 2)
    # Three tosses alike: 2 / 8; two: 2 / 4. Holm doubles the smaller and lifts the other to it.
    assert first.mcnemar_p == pytest.approx(0.5)
    assert second.mcnemar_p == pytest.approx(0.5)


@pytest.mark.parametrize(("having", "repeated", "told"), [(1, 1, False), (2, 1, True), (3, 3, False)])
def test_a_single_post_tells_no_difference(having: int, repeated: int, told: bool) -> None:
    """Not even where one model finds it and the other does not, and nor do near-duplicates of it."""
    posts = 40
    gold = np.zeros((posts, 2), dtype=bool)
    gold[:having, 0] = True
    gold[20:30, 1] = True
    nothing = gold.copy()
    nothing[:, 0] = False
    clusters = np.arange(posts)
    clusters[:having] = clusters[:having] // repeated
    finds, misses = (
        Judged(np.arange(posts), ("c0", "c1"), gold, named, gold.any(1), named.any(1), clusters=clusters)
        for named in (gold, nothing)
    )
    found = compared(finds, misses)
    assert found.categories[0].f1.difference == 1
    assert found.categories[0].clear == told
    assert (found.categories[0].f1.low is not None) is told
    assert [one.startswith("A single post") and "hate" in one for one in single_posts(found.categories)] == (
        [] if told else [True]
    )


def test_nothing_in_common() -> None:
    a, b = random_judged(posts=20, codes=1, seed=5), random_judged(posts=20, codes=1, seed=6)
    nothing = shared(a.take(np.arange(10)), b.take(np.arange(10, 20)))
    assert sentence("a", "b", compared(*nothing)).startswith("There is nothing to compare")


def test_where_no_post_is_a_violation_the_share_that_is_right_is_compared() -> None:
    drawn = random_judged(posts=100, codes=2, seed=5)
    none = np.zeros((100, 2), dtype=bool)
    harmless = replace(drawn, gold=none, positive=none[:, 0])
    flags = {share: np.arange(100)[:, None] < [share, 0] for share in (10, 50)}
    a, b = (replace(harmless, named=named, flagged=named[:, 0]) for named in flags.values())
    found = compared(a, b)
    name, overall = found.headline
    assert (name, overall.a, overall.b) == ("posts all right", 0.9, 0.5)
    assert overall.low is not None and 0.25 < overall.low < 0.4
    assert sentence("a", "b", found).startswith("A is better than b (posts all right +.40, .")
    assert not compared(a, a).headline[1].clear


def difference(value: float | None, low: float = 0.0, high: float = 0.0) -> Difference:
    return Difference(0.5, 0.5, value, low, high)


def found(overall: Difference, **categories: Difference) -> Differences:
    each = tuple(
        CategoryComparison(name, name, 10, one, UNKNOWN, f1_p=0.01 if one.clear else 0.4)
        for name, one in categories.items()
    )
    return Differences(**figures_of_two(categories=each, macro_f1=overall, any_f1=overall))


@pytest.mark.parametrize(
    ("differences", "says"),
    [
        (
            found(
                difference(0.06, 0.01, 0.11),
                scams=difference(0.07, 0.03, 0.12),
                hate=difference(0.01, -0.1, 0.1),
            ),
            "Run 2 is better than the base model (macro-F1 +.06, .01 to .11): "
            "better on scams (+.07, .03 to .12); no clear difference elsewhere.",
        ),
        (
            found(
                difference(0.0, -0.02, 0.02),
                scams=difference(0.07, 0.03, 0.12),
                hate=difference(-0.2, -0.3, -0.1),
            ),
            "No clear difference overall between run 2 and the base model (macro-F1 ±.00, −.02 to .02): "
            "better on scams (+.07, .03 to .12), worse on hate (−.20, −.30 to −.10).",
        ),
        (
            found(difference(-0.1, -0.2, -0.05), scams=difference(0.0, -0.1, 0.1)),
            "Run 2 is worse than the base model (macro-F1 −.10, −.20 to −.05); "
            "no clear difference in any one category.",
        ),
        (
            found(difference(1.0, 0.9, 1.0)),
            "Run 2 is better than the base model (F1 on any violation +1.00, .90 to 1.00).",
        ),
    ],
)
def test_what_follows_in_words(differences: Differences, says: str) -> None:
    assert sentence("run 2", "the base model", differences) == says


def test_what_needs_no_model_stands_as_a_yardstick() -> None:
    # To flag all of 100 posts finds each of 48 violations, and 48 of 100 alarms are right: F1 .96 / 1.48.
    assert yardstick_sentence(100, 48) == (
        "What needs no model: flag every post and F1 on any violation is .65; pass every post and 52% are "
        "all right."
    )
    assert yardstick_sentence(40, 0) == "What needs no model: pass every post and 100% are all right."
    assert (
        yardstick_sentence(40, 40) == "What needs no model: flag every post and F1 on any violation is 1.00."
    )


def test_shares_in_words() -> None:
    assert [share_text(value) for value in (None, 0.714, 1.0, 0.0, -0.001, -0.05)] == [
        "–",
        ".71",
        "1.00",
        ".00",
        ".00",
        "−.05",
    ]
