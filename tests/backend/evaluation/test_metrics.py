"""Figures against hand-worked examples and scikit-learn; what cannot be judged has no figure."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from backend.evaluation.bootstrap import FIGURES
from backend.evaluation.judged import Judged
from backend.evaluation.metrics import confusion, curves, measure
from backend.evaluation.results import ANY, Metrics
from tests.backend.evaluation.build import random_judged

NAMES = {"hate": "Hate", "scam": "Scam", "spam": "Spam"}


def judged(gold: list[list[int]], named: list[list[int]], scores: list[list[float]] | None = None) -> Judged:
    of_gold, of_named = np.array(gold, dtype=bool), np.array(named, dtype=bool)
    values = None if scores is None else np.array(scores, dtype=float)
    return Judged(
        np.arange(1, len(gold) + 1),
        tuple(NAMES)[: of_gold.shape[1]],
        of_gold,
        of_named,
        of_gold.any(axis=1),
        of_named.any(axis=1),
        values,
        None if values is None else values.max(axis=1),
    )


def measured(judged: Judged, **more: object) -> Metrics:
    names = {code: NAMES.get(code, code) for code in (*judged.codes, *more.get("refused", {}))}  # type: ignore[misc]
    return measure(judged, names=names, thresholds={}, of=len(judged), resamples=50, **more)  # type: ignore[arg-type]


def test_five_posts_worked_by_hand() -> None:
    found = measured(
        judged(
            gold=[[1, 0], [1, 0], [0, 1], [0, 0], [0, 0]],
            named=[[1, 0], [0, 0], [0, 1], [1, 0], [0, 0]],
            scores=[[0.9, 0.1], [0.3, 0.2], [0.2, 0.8], [0.6, 0.1], [0.1, 0.1]],
        )
    )
    hate, scam = found.categories
    assert (hate.support, hate.predicted, hate.hits) == (2, 2, 1)
    assert (hate.precision, hate.recall, hate.f1) == (0.5, 0.5, 0.5)
    # Ranked .9 (hate), .6, .3 (hate), .2, .1: half the recall at precision 1, half at 2/3.
    assert hate.auprc == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert (scam.precision, scam.recall, scam.f1, scam.auprc) == (1, 1, 1, 1)
    # Of the six pairs of .9 or .3, which have it, and .2, .6 or .1, only .3 and .6 are the wrong way.
    assert hate.auroc == pytest.approx(5 / 6)
    assert hate.brier == pytest.approx((0.1**2 + 0.7**2 + 0.2**2 + 0.6**2 + 0.1**2) / 5)
    # Five bins of one post each.
    assert hate.calibration_error == pytest.approx((0.1 + 0.7 + 0.2 + 0.6 + 0.1) / 5)
    assert found.macro.auroc == pytest.approx((5 / 6 + 1) / 2)
    assert found.macro.f1 == 0.75
    assert found.micro.f1 == pytest.approx(2 * 2 / (3 + 3))
    assert found.exact_match == 0.6
    assert (found.any_violation.code, found.any_violation.support) == (ANY, 3)
    assert found.any_violation.f1 == pytest.approx(2 * 2 / (3 + 3))
    assert found.confusion == ((1, 0, 1), (0, 1, 0), (1, 0, 1))


def test_figures_are_scikit_learns() -> None:
    model = random_judged(posts=300, codes=5, seed=1)
    found = measured(model)
    assert model.scores is not None
    precision, recall, f1, support = precision_recall_fscore_support(model.gold, model.named, average=None)
    for column, category in enumerate(found.categories):
        assert category.support == support[column]
        assert (category.precision, category.recall, category.f1) == pytest.approx(
            (precision[column], recall[column], f1[column])
        )
        assert category.auprc == pytest.approx(
            average_precision_score(model.gold[:, column], model.scores[:, column])
        )
        assert category.auroc == pytest.approx(roc_auc_score(model.gold[:, column], model.scores[:, column]))
        assert category.brier == pytest.approx(
            brier_score_loss(model.gold[:, column], model.scores[:, column])
        )
    assert found.macro.f1 == pytest.approx(f1_score(model.gold, model.named, average="macro"))
    assert found.micro.f1 == pytest.approx(f1_score(model.gold, model.named, average="micro"))
    assert found.macro.auprc == pytest.approx(average_precision_score(model.gold, model.scores))


def test_intervals_hold_their_figure() -> None:
    found = measured(random_judged(posts=200, codes=3, seed=2))
    for average in (found.macro, *found.categories, found.any_violation):
        assert average.f1 is not None and average.f1_interval is not None
        assert average.f1_interval.low <= average.f1 <= average.f1_interval.high
    for average, figures in ((found.macro, FIGURES), (found.micro, ("precision", "recall", "f1"))):
        for name in figures:
            value, span = getattr(average, name), getattr(average, f"{name}_interval")
            assert span.low <= value <= span.high, name
            assert span.low < span.high, name
    span = found.exact_match_interval
    assert span is not None and found.exact_match is not None
    assert span.low < found.exact_match < span.high


def test_a_category_without_posts_has_no_figures_and_is_out_of_the_macro() -> None:
    found = measured(judged(gold=[[1, 0], [0, 0]], named=[[1, 1], [0, 0]], scores=[[0.9, 0.6], [0.1, 0.2]]))
    hate, scam = found.categories
    assert (scam.precision, scam.recall, scam.f1, scam.auprc) == (None, None, None, None)
    assert (scam.support, scam.predicted) == (0, 1)
    assert scam.note == "No post of the set has it."
    assert found.macro.f1 == hate.f1 == 1
    assert found.micro.f1 == pytest.approx(2 / 3), "a false alarm still counts among the pooled ones"
    assert found.notes == ("Not in the macro averages, because they could not be judged: Scam.",)


def test_a_category_that_is_never_named_has_a_real_zero() -> None:
    [hate] = measured(judged(gold=[[1], [0]], named=[[0], [0]], scores=[[0.4], [0.3]])).categories
    assert (hate.precision, hate.recall, hate.f1, hate.auprc) == (None, 0, 0, 1)


def test_a_model_without_probabilities_has_no_auprc() -> None:
    found = measured(judged(gold=[[1], [0]], named=[[1], [0]]))
    assert found.categories[0].auprc is None
    assert found.macro.auprc is None
    assert found.any_violation.auprc is None


def test_equal_scores_give_the_share_of_posts_and_say_so() -> None:
    [hate] = measured(judged(gold=[[1], [0], [0], [0]], named=[[1]] * 4, scores=[[0.5]] * 4)).categories
    assert hate.auprc == 0.25
    assert hate.note is not None and "equal" in hate.note


def test_one_class_only() -> None:
    everyone = measured(judged(gold=[[1], [1]], named=[[1], [0]], scores=[[0.9], [0.2]]))
    assert everyone.categories[0].auprc is None
    assert everyone.categories[0].f1 == pytest.approx(2 / 3)
    nobody = measured(judged(gold=[[0], [0]], named=[[1], [0]], scores=[[0.9], [0.2]]))
    assert nobody.any_violation.f1 is None
    assert nobody.micro.f1 is None
    assert (nobody.any_violation.predicted, nobody.exact_match) == (1, 0.5)


@pytest.mark.parametrize("gold", [[[1, 0]], [[0, 0]]])
def test_one_post(gold: list[list[int]]) -> None:
    found = measured(judged(gold=gold, named=[[1, 0]], scores=[[0.9, 0.1]]))
    assert found.posts == 1
    assert found.macro.f1 == (1 if gold[0][0] else None)


def test_no_post_at_all() -> None:
    model = judged(gold=[[1, 0]], named=[[1, 0]], scores=[[0.9, 0.1]]).take(np.array([], dtype=int))
    found = measured(model, notes=("None of the model's scores can be used.",))
    assert found.macro.f1 is None
    assert found.exact_match is None


def test_refused_categories_stay_in_the_table_with_the_reason() -> None:
    model = judged(gold=[[1], [0]], named=[[1], [0]])
    found = measured(model, refused={"spam": "2 of 2 scores are not numbers."})
    assert found.codes == ("hate",)
    assert [category.code for category in found.categories] == ["hate", "spam"]
    assert found.categories[1].f1 is None
    assert found.categories[1].note == "2 of 2 scores are not numbers."


def test_yes_and_no_only() -> None:
    model = Judged(
        np.arange(4),
        (),
        np.zeros((4, 0), dtype=bool),
        np.zeros((4, 0), dtype=bool),
        np.array([True, True, False, False]),
        np.array([True, False, True, False]),
        np.zeros((4, 0)),
        np.array([0.9, 0.4, 0.6, 0.1]),
    )
    found = measured(model)
    assert found.macro.f1 is None
    assert found.any_violation.f1 == 0.5
    assert found.any_violation.auprc == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert found.exact_match == 0.5
    assert found.confusion == ()
    assert found.notes == ()


def test_confusion_of_single_labels_is_the_plain_one() -> None:
    random = np.random.default_rng(3)
    gold, named = random.integers(0, 4, 200), random.integers(0, 4, 200)
    ours = confusion(np.eye(4, dtype=bool)[gold][:, :3], np.eye(4, dtype=bool)[named][:, :3])
    assert ours == tuple(tuple(row) for row in confusion_matrix(gold, named).tolist())


def test_confusion_of_several_labels() -> None:
    # Right on hate, and scam where spam stands; hate missed with nothing in its place.
    gold = np.array([[1, 0, 1], [1, 1, 0]], dtype=bool)
    named = np.array([[1, 1, 0], [0, 1, 0]], dtype=bool)
    assert confusion(gold, named) == ((1, 0, 0, 1), (0, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0))


def test_curves_are_short_and_rise_in_recall() -> None:
    found = curves(random_judged(posts=2_000, codes=2, seed=4), {"c0": "A", "c1": "B"})
    assert [curve.code for curve in found] == ["c0", "c1", ANY]
    for curve in found:
        assert 2 <= len(curve.recall) == len(curve.precision) == len(curve.thresholds) <= 200
        assert list(curve.recall) == sorted(curve.recall)
        assert curve.recall[-1] == 1


def test_no_curve_where_there_is_nothing_to_rank() -> None:
    assert curves(judged(gold=[[1], [1]], named=[[1], [1]], scores=[[0.9], [0.8]]), NAMES) == ()
    assert curves(judged(gold=[[1], [0]], named=[[1], [0]]), NAMES) == ()
