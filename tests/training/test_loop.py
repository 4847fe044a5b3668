"""Stopping, resuming, checkpoints, and what the loop keeps."""

from __future__ import annotations

import errno
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.conftest import examples_of, make_rows
from training.checkpoints import Best, Checkpoints, Snapshot, random_states
from training.cost import steps_in
from training.gradients import Gradients
from training.job import Config
from training.loop import Loop, NoRoomToKeepError, Trained, TrainingError
from training.objective import Teaching
from training.progress import Phase, Reporter, read
from training.prompt import Example, Renderer
from training.schedule import learning_rate, validation_steps
from training.stop import Stop
from training.student import Student, new_student

CONFIG = Config(
    precision="float32",
    rank=4,
    alpha=8,
    max_length=256,
    batch_size=4,
    epochs=3,
    validations=4,
    learning_rate=5e-3,
)


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
        learned = options.pop("examples", examples)
        held_out = options.pop("validation", validation)
        loop = Loop(
            student,
            Teaching(student, learned, [f"r{index}" for index in range(len(learned))]),
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


HALF = CONFIG.model_copy(update={"layers": 0.5})


def free_memory(patch: pytest.MonkeyPatch, size: int) -> None:
    patch.setattr("training.hardware.free_bytes", lambda _device: size)


def test_a_run_that_kept_nothing_of_the_frozen_layers_keeps_nothing_after_a_resume(
    train: Callable[..., Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_memory(monkeypatch, 1000)
    whole = train(tmp_path / "whole", config=HALF)
    train(tmp_path / "parts", StopAt(6), config=HALF)
    free_memory(monkeypatch, 10**10)
    part = train(tmp_path / "parts", config=HALF)
    assert part.resumed_from and part.finished
    assert part.kept_tokens == 0
    assert same(part.weights, whole.weights)


def test_a_run_that_kept_the_frozen_layers_goes_on_only_with_them(
    train: Callable[..., Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_memory(monkeypatch, 10**10)
    whole = train(tmp_path / "whole", config=HALF)
    stopped = train(tmp_path / "parts", StopAt(6), config=HALF)
    free_memory(monkeypatch, 1000)
    with pytest.raises(NoRoomToKeepError, match=f"up to step {stopped.step} the run kept") as failure:
        train(tmp_path / "parts", config=HALF)
    assert "Free memory" in failure.value.hint
    # Where nothing is left to learn, nothing has to be kept.
    assert train(tmp_path / "whole", config=HALF).step == whole.step
    free_memory(monkeypatch, 10**10)
    part = train(tmp_path / "parts", config=HALF)
    assert part.resumed_from == stopped.step
    assert part.kept_tokens > 0
    assert same(part.weights, whole.weights)


class DrawingStop(StopAt):
    """Takes from the random numbers at each look, as a step might."""

    @property
    def requested(self) -> bool:  # type: ignore[override]
        torch.rand(3)
        return super().requested


def test_a_resume_puts_the_random_generators_back(train: Callable[..., Trained], tmp_path: Path) -> None:
    train(tmp_path, DrawingStop(6))
    saved = Checkpoints(tmp_path / "checkpoints", "one").latest()
    assert saved is not None
    train(tmp_path / "another", StopAt(0))
    # A process that begins is elsewhere in the random numbers than the one that was stopped.
    assert not torch.equal(torch.get_rng_state(), saved.random["cpu"])
    train(tmp_path, StopAt(0))
    assert same(random_states(), saved.random)


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


ONE_SIDED = CONFIG.model_copy(update={"epochs": 6, "batch_size": 2, "validations": 9, "learning_rate": 2e-2})


@pytest.fixture
def one_sided(renderer: Renderer) -> dict[str, list[Example]]:
    """Rows of one label to learn and of another to validate on: what is learned soon does harm."""
    rows = make_rows(24, analysis=False)
    return {
        "examples": examples_of(renderer, [row for row in rows if row.labels == ("scam",)]),
        "validation": examples_of(renderer, [row for row in rows if row.labels == ("hate",)][:3]),
    }


def validations(folder: Path) -> list[dict[str, Any]]:
    events, _ = read(folder / "progress.jsonl")
    return [event for event in events if event["phase"] == "validating"]


def test_a_run_ends_where_validation_gets_no_better(
    train: Callable[..., Trained], one_sided: dict[str, list[Example]], tmp_path: Path
) -> None:
    whole = train(tmp_path / "whole", config=ONE_SIDED, **one_sided)
    best = [event["step"] for event in validations(tmp_path / "whole") if event["best"]][-1]
    later = [event["step"] for event in validations(tmp_path / "whole") if event["step"] > best]
    assert len(later) > 2
    config = ONE_SIDED.model_copy(update={"patience": 2})
    trained = train(tmp_path / "early", config=config, **one_sided)
    assert (trained.finished, trained.stopped_early, whole.stopped_early) == (True, True, False)
    assert (trained.step, trained.best_step, trained.best_loss) == (later[1], best, whole.best_loss)
    assert same(trained.weights, whole.weights)
    last = read(tmp_path / "early" / "progress.jsonl")[0][-1]
    assert last["message"] == "stopped early: no better validation loss for 2 validations"
    # What will not be done any more takes no time.
    assert last["seconds_left"] == 0


def test_an_early_end_is_the_same_after_any_stop(
    train: Callable[..., Trained], one_sided: dict[str, list[Example]], tmp_path: Path
) -> None:
    config = ONE_SIDED.model_copy(update={"patience": 2})
    whole = train(tmp_path / "whole", config=config, **one_sided)
    stops = 0
    while not (part := train(tmp_path / "parts", StopAt(2 + stops % 3), config=config, **one_sided)).finished:
        stops += 1
    assert stops >= 2
    assert whole.stopped_early and part.stopped_early
    assert (part.step, part.best_step, part.best_loss) == (whole.step, whole.best_step, whole.best_loss)
    assert same(part.weights, whole.weights)
    # A process that finds the run at its early end does nothing more.
    again = train(tmp_path / "parts", config=config, **one_sided)
    assert (again.step, again.stopped_early, again.last_loss) == (whole.step, True, None)


class Marks:
    """A judge with its marks made up beforehand."""

    macro_f1_work = 1e6

    def __init__(self, *marks: float) -> None:
        self.marks = list(marks)

    def macro_f1(self, student: Student) -> float:
        return self.marks.pop(0)


def test_macro_f1_chooses_where_it_is_asked_to(train: Callable[..., Trained], tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"choose": "macro_f1", "validations": 5, "patience": 2})
    trained = train(tmp_path, config=config, judge=Marks(0.2, 0.5, 0.5, 0.4, 0.4))
    seen = validations(tmp_path)
    losses = [event["validation_loss"] for event in seen]
    assert [event["macro_f1"] for event in seen][:3] == [0.2, 0.5, 0.5]
    # Of two as good the one with the lower loss is the better.
    assert [event["best"] for event in seen][:3] == [True, True, losses[2] < losses[1]]
    best = seen[2 if losses[2] < losses[1] else 1]
    assert (trained.best_step, trained.best_macro_f1) == (best["step"], 0.5)
    assert trained.best_loss == pytest.approx(best["validation_loss"], rel=1e-5)
    latest = Checkpoints(tmp_path / "checkpoints", "one").latest()
    assert latest is not None and latest.best is not None
    assert latest.best.macro_f1 == 0.5


def test_events_tell_how_fast_it_goes_and_what_is_left(
    train: Callable[..., Trained], examples: list[Example], tmp_path: Path
) -> None:
    train(tmp_path)
    steps = [event for event in read(tmp_path / "progress.jsonl")[0] if event["phase"] == "training"]
    learned = sum(len(example.answer) for example in examples) / len(examples)
    for event in steps:
        ratio = event["learned_tokens_per_second"] / event["examples_per_second"]
        assert ratio == pytest.approx(learned, rel=0.5)
        assert event["tokens_per_second"] > event["learned_tokens_per_second"]
        assert event["memory_mb"] > 50
        assert "mfu" not in event
    assert steps[0]["seconds_left"] > 0
    assert validations(tmp_path)[-1]["seconds_left"] == 0


@pytest.mark.parametrize("layers", [1.0, 0.5])
def test_after_a_resume_only_what_is_left_takes_time(
    train: Callable[..., Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: float
) -> None:
    planned: dict[Phase, float] = {}
    plan = Reporter.plan

    def note(self: Reporter, units: float, of: Phase = "training") -> None:
        planned[of] = planned.get(of, 0.0) + units
        plan(self, units, of)

    monkeypatch.setattr(Reporter, "plan", note)
    config = CONFIG.model_copy(update={"layers": layers})
    stopped = train(tmp_path, StopAt(10), config=config)
    whole = dict(planned)
    planned.clear()
    resumed = train(tmp_path, StopAt(0), config=config)
    assert resumed.step == stopped.step
    done = stopped.step / stopped.steps
    assert 0.2 < done < 0.8
    left = {phase: planned[phase] / whole[phase] for phase in whole}
    # What the frozen layers give has to be computed again by a new process.
    again = 0.25 if layers < 1 else 0.0
    assert 1 - done - 0.1 < left["training"] < 1 - done + 0.1 + again
    assert 0 < left["validating"] < 1
    planned.clear()
    train(tmp_path, config=config)
    told = [
        event["seconds_left"] for event in read(tmp_path / "progress.jsonl")[0] if "seconds_left" in event
    ]
    # Work that was counted and never came is a small part of all; the figures are tenths of a second.
    assert told[-1] <= 0.1 * max(told) + 0.05


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

    def add(self: Gradients, batch: Sequence[int], share: Sequence[int]) -> float:
        nonlocal steps
        steps += 1
        return original(self, batch, share) if steps < 4 else float("nan")

    original = Gradients.add
    monkeypatch.setattr(Gradients, "add", add)
    with pytest.raises(TrainingError, match=r"the loss became nan .* at step 4 of .* rows r\d") as failure:
        train(tmp_path, checkpoint_seconds=0.0)
    assert "learning rate" in failure.value.hint
    latest = Checkpoints(tmp_path / "checkpoints", "one").latest()
    assert latest is not None
    assert latest.step == 3


def poisoned(examples: Sequence[Example], rows: Sequence[int]) -> list[Example]:
    """The examples, of which some count in the loss with a weight that makes it no number."""
    return [replace(one, weight=math.nan) if index in rows else one for index, one in enumerate(examples)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([5], r"the loss became nan .* at step 1 of \d+, over the row r5$"),
        (range(10), r"over the rows (r\d, ){7}r\d and 2 more$"),
    ],
)
def test_the_rows_that_make_the_loss_no_number_are_named_and_no_others(
    train: Callable[..., Trained],
    examples: list[Example],
    tmp_path: Path,
    rows: Sequence[int],
    said: str,
) -> None:
    config = CONFIG.model_copy(update={"batch_size": len(examples)})
    with pytest.raises(TrainingError, match=said):
        train(tmp_path, config=config, examples=poisoned(examples, rows))


def test_a_row_whose_gradients_alone_are_no_numbers_is_named(
    train: Callable[..., Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(self: Gradients, batch: Sequence[int], share: Sequence[int]) -> float:
        loss = original(self, batch, share)
        if 7 in share:
            last = list(self._parameters.values())[-1]
            last.grad = torch.full_like(last, math.inf)
        return loss

    original = Gradients.add
    monkeypatch.setattr(Gradients, "add", add)
    with pytest.raises(TrainingError, match=r"the gradient's norm inf at step \d+ of \d+, over the row r7$"):
        train(tmp_path)


def test_rows_of_which_none_alone_makes_the_loss_no_number_are_said_to_be_so(
    train: Callable[..., Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Gradients, "without_number", lambda _self, _batch: [])
    monkeypatch.setattr(Gradients, "add", lambda *_: math.nan)
    with pytest.raises(
        TrainingError, match=r"over rows of which none alone does it: r\d+, r\d+, r\d+, r\d+$"
    ):
        train(tmp_path)


def test_a_validation_loss_that_is_no_number_stops_with_step_and_rows(
    train: Callable[..., Trained], renderer: Renderer, tmp_path: Path
) -> None:
    held_out = poisoned(examples_of(renderer, make_rows(6, analysis=False)), [1, 4])
    said = r"the validation loss became nan at step (\d+) of (\d+), over the rows 1, 4$"
    with pytest.raises(TrainingError, match=said) as failure:
        train(tmp_path, validation=held_out, checkpoint_seconds=0.0)
    first = min(validation_steps(steps_in(len(examples_of(renderer, make_rows(12))), CONFIG), 4))
    assert f"at step {first} of" in str(failure.value)
    latest = Checkpoints(tmp_path / "checkpoints", "one").latest()
    # That step's weights are not known to be good, so they are not what is gone on from.
    assert latest is not None
    assert latest.step == first - 1


def test_the_learning_rate_rises_then_falls_to_a_tenth() -> None:
    config = Config(precision="float32", learning_rate=1.0e-3, warmup=0.1)
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
    assert steps_in(23, Config(precision="float32", epochs=2, batch_size=4)) == 12


def snapshot(step: int) -> Snapshot:
    weights = {"a": torch.full((3,), float(step))}
    return Snapshot(
        step,
        step,
        weights,
        {"a/exp_avg": torch.zeros(3)},
        300,
        {},
        Best(0.5, step, {"a": weights["a"].clone()}),
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


@pytest.mark.parametrize("moment", ["before the rename", "after the rename"])
def test_a_step_saved_again_is_never_without_a_complete_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    checkpoints = Checkpoints(tmp_path, "one")
    checkpoints.save(snapshot(5))

    class KilledError(BaseException):
        pass

    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if target.name.startswith("."):
            return rename(path, target)
        if moment == "after the rename":
            rename(path, target)
        raise KilledError

    monkeypatch.setattr(Path, "rename", killed)
    # As after a kill, nothing that was to be tidied is.
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    again = snapshot(5)
    again.validated = 4
    with pytest.raises(KilledError):
        checkpoints.save(again)
    monkeypatch.undo()
    latest = Checkpoints(tmp_path, "one").latest()
    assert latest is not None
    assert latest.validated == (5 if moment == "before the rename" else 4)
    # However often a step is saved, the last one counts, and the others go.
    for validated in range(10):
        later = snapshot(5)
        later.validated = validated
        checkpoints.save(later)
        latest = checkpoints.latest()
        assert latest is not None
        assert latest.validated == validated
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
