"""Rare answers count for more in the loss, by as much as is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tests.training.conftest import write_job, write_rows
from training.balance import answer_weights, balanced
from training.data import Encoded, Row, encode
from training.job import Config
from training.prompt import Renderer
from training.run import run
from training.stop import Stop

FINE, SCAM, BOTH = (), ("scam",), ("scam", "hate")
ANSWERS = [FINE] * 6 + [SCAM] * 3 + [BOTH]


def test_no_balance_counts_all_alike() -> None:
    assert answer_weights(ANSWERS, 0.0) == {FINE: 1, SCAM: 1, BOTH: 1}


def test_full_balance_is_scikit_learns() -> None:
    names = ["fine"] * 6 + ["scam"] * 3 + ["both"]
    expected = compute_class_weight("balanced", classes=np.array(["fine", "scam", "both"]), y=names)
    assert list(answer_weights(ANSWERS, 1.0).values()) == pytest.approx(list(expected))


def test_half_a_balance_lies_between_and_the_mean_stays_one() -> None:
    weights = answer_weights(ANSWERS, 0.5)
    assert weights[BOTH] / weights[FINE] == pytest.approx(6**0.5)
    assert sum(weights[answer] for answer in ANSWERS) == pytest.approx(len(ANSWERS))


def _encoded(renderer: Renderer, answers: list[tuple[str, ...]]) -> Encoded:
    rows = [Row(str(index), f"post {index}", labels) for index, labels in enumerate(answers)]
    return encode(rows, renderer, "direct", 256)


def test_examples_carry_the_weight_of_their_answer_whatever_order_its_labels_have(renderer: Renderer) -> None:
    taught = _encoded(renderer, [FINE, FINE, FINE, ("hate", "scam")])
    weights = [each.weight for each in balanced(taught, taught, 1.0)]
    assert weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0])


def test_an_answer_never_taught_counts_as_the_rarest_taught(renderer: Renderer) -> None:
    taught = _encoded(renderer, [FINE, FINE, FINE, BOTH])
    held_out = _encoded(renderer, [SCAM, FINE])
    assert [each.weight for each in balanced(held_out, taught, 1.0)] == pytest.approx([2.0, 2 / 3])


def test_without_balance_the_examples_are_left_alone(renderer: Renderer) -> None:
    taught = _encoded(renderer, [FINE, BOTH])
    assert balanced(taught, taught, 0.0) is taught.examples


@pytest.fixture(scope="module")
def probabilities(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[float, float]:
    """The mean probability of a scam, which one row in nine is, by the balance it was learned with.

    The words of the posts say nothing of it, so all a student can learn is how often it counts.
    """
    found = {}
    for balance in (0.0, 1.0):
        folder = tmp_path_factory.mktemp(f"balance-{balance:.0f}")
        config = Config(precision="float32", rank=4, epochs=8, learning_rate=1e-2, balance=balance)
        write_job(folder, tiny, config=config)
        answers = [SCAM if index % 9 == 0 else FINE for index in range(45)]
        rows = [Row(str(index), f"bring {index % 5}", labels) for index, labels in enumerate(answers)]
        for name in ("train", "validation"):
            write_rows(folder / f"{name}.parquet", rows)
        assert run(str(folder), Stop()) == 0
        found[balance] = pd.read_parquet(folder / "predictions" / "test.parquet")["p_scam"].mean()
    return found


def test_what_a_student_learns_follows_the_weights(probabilities: dict[float, float]) -> None:
    assert probabilities[0.0] == pytest.approx(1 / 9, abs=0.06)
    assert probabilities[1.0] == pytest.approx(1 / 2, abs=0.1)
