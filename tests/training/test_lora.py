"""LoRA and frozen weights added up for the time of scoring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.conftest import moved, with_frozen
from training.job import Config
from training.lora import summed
from training.student import Student, new_student

IDS = torch.arange(5, 60)[None]
ROOM = 1e9


def student_of(tiny: Path, **changes: Any) -> Student:
    config = Config(precision="float32", rank=4, alpha=8, max_length=256).model_copy(update=changes)
    return moved(new_student(tiny, config, torch.device("cpu"), "tiny"))


@torch.no_grad()
def logits(student: Student) -> Tensor:
    found: Tensor = student.model(input_ids=IDS).logits
    return found


def products(student: Student) -> int:
    """How many matrix products a pass takes."""
    with torch.no_grad(), torch.profiler.profile() as taken:
        student.model(input_ids=IDS)
    return sum(each.count for each in taken.key_averages() if each.key in ("aten::mm", "aten::addmm_"))


@pytest.mark.parametrize("changes", [{}, {"rslora": True}, {"layers": 0.5}])
def test_states_are_the_same_by_fewer_products(tiny: Path, changes: dict[str, Any]) -> None:
    student = student_of(tiny, **changes)
    apart, many = logits(student), products(student)
    frozen = {name: weight.clone() for name, weight in student.model.named_parameters()}
    with student.summed():
        torch.testing.assert_close(logits(student), apart, rtol=1e-5, atol=1e-5)
        assert products(student) < many
    assert torch.equal(logits(student), apart)
    assert all(torch.equal(weight, frozen[name]) for name, weight in student.model.named_parameters())


def test_the_base_model_stays_what_it_is(tiny: Path) -> None:
    student = student_of(tiny)
    with student.base():
        base = logits(student)
    with student.summed(), student.base():
        assert torch.equal(logits(student), base)


def test_what_is_learned_afterwards_counts(tiny: Path) -> None:
    student = student_of(tiny)
    with student.summed():
        before = logits(student)
    with torch.no_grad():
        for weight in student.trained_parameters().values():
            weight.mul_(2)
    with student.summed():
        assert (logits(student) - before).abs().max() > 1e-3


def test_where_memory_is_short_nothing_changes(tiny: Path) -> None:
    student = student_of(tiny)
    many = products(student)
    with summed(student.model, room=1000):
        assert products(student) == many


def test_short_types_are_not_rounded_once_more(tiny: Path) -> None:
    student = with_frozen(student_of(tiny), torch.bfloat16)
    apart = logits(student)
    with summed(student.model, ROOM):
        assert torch.equal(logits(student), apart)


def test_a_failure_within_leaves_no_sum_behind(tiny: Path) -> None:
    student = student_of(tiny)
    many = products(student)
    with pytest.raises(KeyboardInterrupt), student.summed():
        raise KeyboardInterrupt
    assert products(student) == many
