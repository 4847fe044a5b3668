"""Stopping, resuming, checkpoints, and what the loop keeps."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import examples_of, make_rows
from training.checkpoints import Best, Checkpoints, Snapshot
from training.job import Config
from training.loop import Loop, Trained, TrainingError, learning_rate, steps_in, validation_steps
from training.objective import Teaching
from training.progress import Reporter, read
from training.prompt import Example, Renderer
from training.stop import Stop
from training.student import new_student

CONFIG = Config(rank=4, alpha=8, max_length=256, batch_size=4, epochs=3, validations=4, learning_rate=5e-3)


class StopAt(Stop):
    """Asks to stop once it was looked at so many times."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    @property
    def requested(self) -> bool:  # type: ignore[override]
        self._looks -= 1
        return self._looks < 0


@pytest.fixture
def examples(renderer: Renderer) -> list[Example]:
    return examples_of(renderer, make_rows(12))


@pytest.fixture
def train(tiny: Path, renderer: Renderer, examples: list[Example]) -> Callable[..., Trained]:
    validation = examples_of(renderer, make_rows(6, analysis=False))

    def run(folder: Path, stop: Stop | None = None, *, config: Config = CONFIG, **options: Any) -> Trained:
        student = new_student(tiny, config, torch.device("cpu"), "tiny")
        held_out = options.pop("validation", validation)
        loop = Loop(
            student,
            Teaching(student, examples, [f"r{index}" for index in range(len(examples))]),
            Teaching(student, held_out, range(len(held_out))) if held_out else None,
            config,
            checkpoints=Checkpoints(folder / "checkpoints", options.pop("identity", "one")),
            reporter=Reporter(folder / "progress.jsonl"),
            stop=stop or Stop(),
            **options,
        )
        return loop.run()

    return run


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("layers", [1.0, 0.5])
def test_resuming_equals_never_having_stopped_bit_for_bit(
    train: Callable[..., Trained], tmp_path: Path, layers: float
) -> None:
    # With half of the layers, what the frozen ones gave is kept, and computed again after a resume.
    config = CONFIG.model_copy(update={"layers": layers})
    whole = train(tmp_path / "whole", config=config)
    stops = 0
    while True:
        # The tokens of a stop fall before a step, in a validation, or after the last one.
        part = train(tmp_path / "parts", StopAt(2 + stops % 3), config=config)
        if part.finished:
            break
        stops += 1
    assert stops > 3
    assert part.resumed_from is not None
    assert (part.best_step, part.best_loss) == (whole.best_step, whole.best_loss)
    assert same(part.weights, whole.weights)
    final = [Checkpoints(tmp_path / name / "checkpoints", "one").latest() for name in ("whole", "parts")]
    assert final[0] is not None
    assert final[1] is not None
    assert same(final[0].weights, final[1].weights)
    assert same(final[0].optimizer, final[1].optimizer)
    assert same(final[0].random, final[1].random)


def test_same_seed_same_curve_other_seed_another(train: Callable[..., Trained], tmp_path: Path) -> None:
    def curve(name: str, config: Config) -> list[float]:
        train(tmp_path / name, config=config)
        events, _ = read(tmp_path / name / "progress.jsonl")
        return [event["validation_loss"] for event in events if event["phase"] == "validating"]

    first = curve("a", CONFIG)
    assert first == curve("b", CONFIG)
    assert first != curve("c", CONFIG.model_copy(update={"seed": 1}))
    assert len(first) == CONFIG.validations


def test_the_loss_falls_and_the_best_weights_are_kept(train: Callable[..., Trained], tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"epochs": 10, "validations": 10, "rank": 16, "alpha": 128})
    trained = train(tmp_path, config=config)
    events, _ = read(tmp_path / "progress.jsonl")
    losses = [event["validation_loss"] for event in events if event["phase"] == "validating"]
    first = next(event["loss"] for event in events if event["phase"] == "training")
    assert min(losses) < first / 2
    assert trained.best_loss == pytest.approx(min(losses), rel=1e-4)
    best = [event for event in events if event.get("best")][-1]
    assert best["step"] == trained.best_step


def test_without_validation_the_last_weights_are_kept(train: Callable[..., Trained], tmp_path: Path) -> None:
    trained = train(tmp_path, validation=[])
    assert trained.best_loss is None
    assert trained.best_step == trained.steps
    latest = Checkpoints(tmp_path / "checkpoints", "one").latest()
    assert latest is not None
    assert same(trained.weights, latest.weights)


def test_a_loss_that_is_no_number_stops_with_step_and_rows(
    train: Callable[..., Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def gradients(self: Loop, batch: Sequence[int]) -> float:
        nonlocal steps
        steps += 1
        return original(self, batch) if steps < 4 else float("nan")

    original = Loop.gradients
    monkeypatch.setattr(Loop, "gradients", gradients)
    with pytest.raises(TrainingError, match=r"the loss became nan .* at step 4 of .* rows r\d") as failure:
        train(tmp_path, checkpoint_seconds=0.0)
    assert "learning rate" in failure.value.hint
    latest = Checkpoints(tmp_path / "checkpoints", "one").latest()
    assert latest is not None
    assert latest.step == 3


def test_the_learning_rate_rises_then_falls_to_a_tenth() -> None:
    config = Config(learning_rate=1.0e-3, warmup=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[-1] == pytest.approx(1e-4, rel=0.02)
    assert learning_rate(0, 1, config) == pytest.approx(1e-3)


def test_validation_is_even_and_includes_the_end() -> None:
    assert validation_steps(10, 2) == {5, 10}
    assert validation_steps(2, 6) == {1, 2}
    assert 7 in validation_steps(7, 3)
    assert steps_in(23, Config(epochs=2, batch_size=4)) == 12


def snapshot(step: int) -> Snapshot:
    weights = {"a": torch.full((3,), float(step))}
    return Snapshot(
        step, step, weights, {"a/exp_avg": torch.zeros(3)}, {}, Best(0.5, step, {"a": weights["a"].clone()})
    )


def test_the_newest_complete_checkpoint_of_the_same_run_is_picked(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "one")
    assert checkpoints.latest() is None
    folder = checkpoints.save(snapshot(5))
    # Half-written ones: made aside and never renamed, without a state, with a file cut short.
    shutil.copytree(folder, tmp_path / ".step-00000009.partial")
    (tmp_path / "step-00000008").mkdir()
    cut = shutil.copytree(folder, tmp_path / "step-00000007")
    tensors = cut / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-5])
    (shutil.copytree(folder, tmp_path / "step-00000006") / "state.json").write_text('{"identity": "one"')
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.step == 5
    assert latest.best is not None
    assert latest.best.weights["a"].tolist() == [5.0, 5.0, 5.0]
    assert Checkpoints(tmp_path, "another").latest() is None
    checkpoints.save(snapshot(10))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]


def test_the_same_step_can_be_saved_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "one")
    checkpoints.save(snapshot(5))
    again = snapshot(5)
    again.validated = 4
    checkpoints.save(again)
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.validated == 4
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_write_leaves_the_one_before_and_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, "one")
    checkpoints.save(snapshot(5))

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("training.checkpoints._write_synced", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(snapshot(6))
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.step == 5
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]
