"""What the frozen lower layers give is computed once, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.conftest import examples_of, make_rows
from tests.training.test_exactness import moved, with_frozen
from training.job import Config
from training.layout import pack
from training.prompt import Example, Renderer
from training.student import Student, new_student

CONFIG = Config(precision="float32", rank=4, alpha=8, max_length=256, batch_size=4, layers=0.5)


def student_of(tiny: Path, config: Config = CONFIG) -> Student:
    return moved(new_student(tiny, config, torch.device("cpu"), "tiny"))


@pytest.fixture
def examples(renderer: Renderer) -> list[Example]:
    return examples_of(renderer, make_rows(9))


def loss_and_gradients(student: Student, batch: list[Example]) -> list[torch.Tensor]:
    (row,) = pack(batch, 100_000)
    loss = student.loss_sum(row)
    torch.autograd.backward(loss)
    found = [loss.detach()]
    for weight in student.trained_parameters().values():
        assert weight.grad is not None
        found.append(weight.grad)
        weight.grad = None
    return found


@pytest.mark.parametrize("multiple", [1, 128])
def test_loss_and_gradients_stay_what_they_are(tiny: Path, examples: list[Example], multiple: int) -> None:
    student = student_of(tiny)
    same = [example for example in examples if example.prefix == examples[0].prefix]
    plain = loss_and_gradients(student, same[2:6])
    student.row_multiple = multiple
    assert student.keep_lower([same[:4], same[4:]])
    for kept, before in zip(loss_and_gradients(student, same[2:6]), plain, strict=True):
        torch.testing.assert_close(kept, before, rtol=1e-4, atol=1e-6)


def test_bf16_is_kept_too(tiny: Path, examples: list[Example]) -> None:
    student = with_frozen(student_of(tiny), torch.bfloat16)
    same = [example for example in examples if example.prefix == examples[0].prefix]
    loss, *_ = loss_and_gradients(student, same[2:6])
    assert student.keep_lower([same[:4], same[4:]])
    kept, *_ = loss_and_gradients(student, same[2:6])
    assert student.tokens_below
    torch.testing.assert_close(kept, loss, rtol=3e-2, atol=0)


def test_each_text_is_computed_once_and_in_any_order_to_the_same_bits(
    tiny: Path, examples: list[Example]
) -> None:
    same = [example for example in examples if example.prefix == examples[0].prefix]
    groups = [same[:3], same[3:]]
    first, second = student_of(tiny), student_of(tiny)
    for student in (first, second):
        assert student.keep_lower(groups)
    loss_and_gradients(first, same[:3])
    loss_and_gradients(first, same[3:])
    computed = first.tokens_below
    mixed = loss_and_gradients(first, same[1:5])
    assert first.tokens_below == computed > 0
    for ours, others in zip(mixed, loss_and_gradients(second, same[1:5]), strict=True):
        assert torch.equal(ours, others)


def test_nothing_is_kept_where_all_layers_learn_or_memory_is_short(
    tiny: Path, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = student_of(tiny, CONFIG.model_copy(update={"layers": 1.0}))
    assert everything.frozen_layers == 0
    assert everything.share_learning == 1
    assert not everything.keep_lower([examples])
    student = student_of(tiny)
    assert student.frozen_layers == 1
    monkeypatch.setattr("training.hardware.free_bytes", lambda _device: 1000)
    assert not student.keep_lower([examples])
    assert student.tokens_below == 0
