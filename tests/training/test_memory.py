"""Memory that runs out: smaller rows by itself, the same result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.training.conftest import examples_of, make_rows
from tests.training.test_exactness import CONFIG, gradients, moved
from training.checkpoints import Checkpoints
from training.continuation import Prefix
from training.fitting import attempt
from training.gradients import Gradients
from training.job import Config
from training.layout import PackedRow, pack, smaller_budget
from training.loop import Loop, Trained
from training.memory import MemoryShortError, is_out_of_memory
from training.objective import Teaching, mean_loss
from training.pairs import PairRow, encode_pairs
from training.preference import Preferring
from training.progress import Reporter
from training.prompt import Example, Form, Renderer
from training.run import explain
from training.scoring import score
from training.stop import Stop
from training.student import Student, new_student

CPU = torch.device("cpu")


class Short(Student):
    """A student on a machine whose memory holds rows of at most so many tokens."""

    room = 10**9
    failures = 0

    def hidden(self, row: PackedRow) -> Tensor:
        states = super().hidden(row)
        self._require(len(row.ids))
        return states

    def hidden_behind(self, prefix: Prefix, ids: Tensor, *places: Any) -> Tensor:
        # The prefix itself is not in rows.
        if prefix.length:
            self._require(len(ids))
        return super().hidden_behind(prefix, ids, *places)

    def _require(self, tokens: int) -> None:
        if tokens > self.room:
            self.failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def short(tiny: Path, config: Config = CONFIG) -> Short:
    return Short(moved(new_student(tiny, config, CPU, "tiny")).model, CPU)


@pytest.fixture
def examples(renderer: Renderer) -> list[Example]:
    return examples_of(renderer, make_rows(12))


def test_what_torch_says_without_memory_is_understood() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**55)
    assert is_out_of_memory(refused.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert attempt(lambda: torch.empty(2**55)) is None
    with pytest.raises(RuntimeError, match="must match the size"):
        attempt(lambda: torch.empty(2) + torch.empty(3))


def loop_of(student: Student, examples: list[Example], folder: Path, config: Config = CONFIG) -> Loop:
    return Loop(
        student,
        Teaching(student, examples, range(len(examples))),
        Teaching(student, examples[:5], range(5)),
        config,
        checkpoints=Checkpoints(folder / "checkpoints", "x"),
        reporter=Reporter(folder / "progress.jsonl"),
        stop=Stop(),
    )


def run(student: Student, examples: list[Example], folder: Path) -> Trained:
    config = CONFIG.model_copy(update={"epochs": 2, "validations": 2, "batch_size": 6})
    return loop_of(student, examples, folder, config).run()


def test_a_step_that_does_not_fit_is_computed_again_with_the_same_gradients(
    tiny: Path, examples: list[Example], tmp_path: Path
) -> None:
    student = short(tiny)
    loop = loop_of(student, examples, tmp_path)
    everything = range(len(examples))
    whole = loop.gradients(everything)
    expected = gradients(student)
    # The first rows of the step fit, so that gradients of an attempt that failed are there to be left out.
    longest = max(len(row.ids) for row in pack(examples, student.row_tokens))
    student.room = longest - 1
    again = Gradients(loop.objective).anew(everything, everything)
    assert student.failures
    assert student.row_tokens <= longest // 2
    assert again == pytest.approx(whole, rel=1e-5)
    for name, gradient in gradients(student).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_training_with_little_memory_equals_training_with_much(
    tiny: Path, examples: list[Example], tmp_path: Path
) -> None:
    plenty = run(short(tiny), examples, tmp_path / "plenty")
    student = short(tiny)
    student.room = max(map(len, examples)) + 30
    scarce = run(student, examples, tmp_path / "scarce")
    assert 0 < student.failures < 5
    assert scarce.best_step == plenty.best_step
    assert scarce.best_loss == pytest.approx(plenty.best_loss, rel=1e-5)
    for name, weight in plenty.weights.items():
        torch.testing.assert_close(scarce.weights[name], weight, rtol=1e-3, atol=1e-5)


def test_an_example_that_does_not_fit_alone_is_said(
    tiny: Path, examples: list[Example], tmp_path: Path
) -> None:
    student = short(tiny)
    student.room = max(map(len, examples)) - 1
    with pytest.raises(MemoryShortError, match="a single example of") as refused:
        run(student, examples, tmp_path)
    reason, hint = explain(refused.value, tmp_path)
    assert f"{max(map(len, examples))} tokens" in reason
    assert hint is not None
    assert "Lower the sequence length" in hint


def test_the_preference_step_with_little_memory_gives_the_same(
    tiny: Path, renderer: Renderer, examples: list[Example], tmp_path: Path
) -> None:
    rows = [PairRow(row, replace(row, labels=("xq",))) for row in make_rows(10)]
    encoded = encode_pairs(rows, renderer, "both", 256)

    def step(student: Student, folder: Path) -> tuple[float, float, dict[str, Tensor]]:
        objective = Preferring(student, encoded.pairs, encoded.ids, 0.1)
        objective.refer(lambda tokens: None)
        loop = Loop(
            student,
            objective,
            None,
            CONFIG.model_copy(update={"epochs": 1, "batch_size": 8}),
            checkpoints=Checkpoints(folder / "checkpoints", "x"),
            reporter=Reporter(folder / "progress.jsonl"),
            stop=Stop(),
        )
        loop.run()
        found = mean_loss(objective, lambda tokens: None), objective.accuracy(lambda tokens: None)
        return *found, student.adapter_weights()

    plenty = step(short(tiny), tmp_path / "plenty")
    student = short(tiny)
    pair = max(len(one.chosen) + len(one.rejected) - len(one.chosen.prefix) for one in encoded.pairs)
    student.room = pair + 10
    scarce = step(student, tmp_path / "scarce")
    assert student.failures
    assert scarce[0] == pytest.approx(plenty[0], rel=1e-4)
    assert scarce[1] == plenty[1]
    for name, weight in plenty[2].items():
        torch.testing.assert_close(scarce[2][name], weight, rtol=1e-3, atol=1e-5)
    student.room = pair - 10
    with pytest.raises(MemoryShortError):
        step(student, tmp_path / "none")


def test_budgets_are_halved_until_every_example_is_alone(examples: list[Example]) -> None:
    budget: int | None = 100_000
    seen = []
    while budget is not None:
        seen.append(budget)
        budget = smaller_budget(examples, budget)
    assert seen == sorted(seen, reverse=True)
    assert sum(1 for _ in pack(examples, seen[-1])) == len(examples)


@pytest.mark.parametrize("form", ["direct", "explained", "reasoned"])
def test_scoring_with_little_memory_gives_the_same(
    tiny: Path, renderer: Renderer, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.reasons.REASON_TOKENS", 6)
    texts = [row.text or "" for row in make_rows(13)]

    def table(student: Student) -> pd.DataFrame:
        return score(student, renderer, range(13), texts, form=form, max_labels=2, max_length=320).table

    student = short(tiny)
    student.scored_tokens = 1000
    expected = table(student)
    student.room = 220
    pd.testing.assert_frame_equal(table(student), expected, atol=1e-5)
    failures = student.failures
    assert failures
    table(student)
    # Rows stay as small as they were found to fit.
    assert student.failures == failures
    student.room = 8
    with pytest.raises(MemoryShortError, match="a single post"):
        table(student)


def test_reasons_are_written_by_fewer_at_once_where_memory_runs_out(
    tiny: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.reasons.REASON_TOKENS", 6)
    student = short(tiny)
    texts = [row.text or "" for row in make_rows(5)]

    def table() -> pd.DataFrame:
        return score(student, renderer, range(5), texts, form="reasoned", max_labels=1, max_length=320).table

    expected = table()
    prompts = [renderer.example(text, "reasoned", None, 320) for text in texts]
    # All five posts do not fit at once, and each does with its reason behind it.
    student.room = 3 * max(len(prompt.post + prompt.suffix) for prompt in prompts)
    pd.testing.assert_frame_equal(table(), expected, atol=1e-5)
    assert student.failures
