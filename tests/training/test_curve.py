"""The loss curve of a small run: the same twice to the bit, and as it was stored.

python -m tests.training.test_curve      stores it again, after a change that is meant to move it
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny_model import make_tiny_model
from tests.training.conftest import POLICY, make_rows
from tests.training.test_exactness import gradients, loop_of
from training import methods
from training.checkpoints import Checkpoints
from training.data import encode
from training.job import Config
from training.loop import Loop
from training.objective import Teaching, mean_loss
from training.progress import Reporter
from training.prompt import Example, Renderer
from training.stop import Stop

STORED = Path(__file__).with_name("curve.json")
CONFIG = Config(
    precision="float32",
    rank=4,
    alpha=8,
    max_length=256,
    batch_size=6,
    epochs=3,
    validations=3,
    learning_rate=5e-3,
    answers="both",
)


class Recorded(Loop):
    """Keeps each step's loss and each validation's."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.curve: dict[str, list[float]] = {"training": [], "validation": []}

    def _train_step(self) -> None:
        super()._train_step()
        assert self.last_loss is not None
        self.curve["training"].append(self.last_loss)

    def _validate(self) -> None:
        assert self.validation is not None
        self.curve["validation"].append(mean_loss(self.validation, lambda tokens: None))
        super()._validate()


def curve(base: Path, folder: Path, config: Config = CONFIG) -> dict[str, list[float]]:
    renderer = Renderer(base, POLICY)
    train = encode(make_rows(16), renderer, config.answers, config.max_length)
    validation = encode(make_rows(6), renderer, "explained", config.max_length)
    student = methods.begin(base, config, torch.device("cpu"), "tiny")
    loop = Recorded(
        student,
        Teaching(student, train.examples, train.ids),
        Teaching(student, validation.examples, validation.ids),
        config,
        checkpoints=Checkpoints(folder / "checkpoints", "one"),
        reporter=Reporter(folder / "progress.jsonl"),
        stop=Stop(),
    )
    loop.run()
    return loop.curve


def test_the_same_run_twice_has_the_same_curve_to_the_bit_and_it_is_the_stored_one(
    tiny: Path, tmp_path: Path
) -> None:
    first = curve(tiny, tmp_path / "first")
    assert curve(tiny, tmp_path / "second") == first
    stored = json.loads(STORED.read_text())
    assert stored.keys() == first.keys()
    # Other processors add up in another order.
    for name, losses in stored.items():
        assert first[name] == pytest.approx(losses, rel=1e-3), name
    assert first["validation"][-1] < 0.9 * first["validation"][0]


def test_another_seed_has_another_curve(tiny: Path, tmp_path: Path) -> None:
    other = curve(tiny, tmp_path, CONFIG.model_copy(update={"seed": 1}))
    assert other["training"] != pytest.approx(json.loads(STORED.read_text())["training"], rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_within_a_step_changes_nothing(
    tiny: Path, renderer: Renderer, tmp_path: Path, seed: int
) -> None:
    student = methods.begin(tiny, CONFIG, torch.device("cpu"), "tiny")
    examples: Sequence[Example] = encode(make_rows(10), renderer, "both", 256).examples
    loop = loop_of(student, examples, tmp_path)
    order = list(range(len(examples)))
    loss = loop.gradients(order)
    expected = gradients(student)
    shuffled = random.Random(seed).sample(order, len(order))
    assert shuffled != order
    assert loop.gradients(shuffled) == pytest.approx(loss, rel=1e-5)
    for name, gradient in gradients(student).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        found = curve(make_tiny_model(Path(place) / "model"), Path(place))
    STORED.write_text(json.dumps(found, indent=1) + "\n")
