"""The ways to fine-tune: LoRA, LoRA over a base model in 4 bits, or the model's own weights."""

from __future__ import annotations

from pathlib import Path

import torch

from training import hardware
from training.cost import row_budget
from training.family import check_family
from training.full import load_full_student, new_full_student
from training.job import Config
from training.student import Student, load_student, new_student


def begin(folder: Path, config: Config, device: torch.device, name: str) -> Student:
    """A student that has learned nothing yet.

    Args:
        folder: the base model.
        config: the method and its settings.
        device: where to compute.
        name: what an adapter calls its base model.

    Raises:
        StudentError, TargetError, QuantizationError: settings, model and machine do not go together.
    """
    # Asked before the model is loaded, whose weights are a part of what the budget counts.
    free = hardware.free_bytes(device)
    full = config.method == "full"
    student = new_full_student(folder, config, device) if full else new_student(folder, config, device, name)
    check_family(student)
    student.row_tokens = row_budget(student.shape, config, hardware.kind(device), free)
    return student


def precision(config: Config, device: torch.device) -> str:
    """What the model's weights are kept in."""
    kept = str(hardware.weights_dtype(device, config.precision)).removeprefix("torch.")
    return {"lora": kept, "qlora": "nf4", "full": "float32"}[config.method]


def load(
    folder: Path, adapter: Path | None, config: Config, device: torch.device, max_length: int
) -> Student:
    """A student that has learned, or the base model, for scoring.

    Args:
        folder: the base model.
        adapter: what the fine-tune left; None for the base model.
        config: the settings that it was trained with.
        device: where to compute.
        max_length: tokens in all.

    Raises:
        StudentError, QuantizationError: it cannot be loaded here.
    """
    if adapter is not None and config.method == "full":
        student: Student = load_full_student(folder, adapter, device, max_length)
    else:
        # A student's thresholds were chosen over the base model in 4 bits; over another they would not hold.
        quantized = adapter is not None and config.method == "qlora"
        student = load_student(
            folder, adapter, device, max_length, precision=config.precision, quantized=quantized
        )
    check_family(student)
    return student
