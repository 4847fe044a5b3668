"""Whether LoRA fits a base model's layers: said before training, with the layer's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.lora import LoraLayer

from training.errors import LastingError

ALL_LINEAR = "all-linear"
"""Peft's word for every linear layer but the head."""


class TargetError(LastingError):
    """Rank or targets do not fit the base model; the message says what to change."""


def check_targets(base: Any, targets: str | Sequence[str]) -> None:
    """Refuse a target that names no linear layer, as peft reads targets.

    Args:
        base: the base model.
        targets: "all-linear", a pattern that a layer's whole name matches, or names that end it.

    Raises:
        TargetError: one matches nothing; the message lists what there is.
    """
    if targets == ALL_LINEAR:
        return
    linear = [name for name, module in base.named_modules() if isinstance(module, torch.nn.Linear)]
    for target in [targets] if isinstance(targets, str) else targets:
        if isinstance(targets, str):
            found = any(_matches(target, name) for name in linear)
        else:
            found = any(f".{name}".endswith(f".{target}") for name in linear)
        if not found:
            there = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
            raise TargetError(
                f"the LoRA target {target!r} names no linear layer of this base model; "
                f"choose among {there}, or {ALL_LINEAR} for all of them"
            )


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error as error:
        raise TargetError(f"the LoRA targets {pattern!r} are no pattern: {error}; name layers") from error


def check_ranks(model: Any, rank: int) -> None:
    """Refuse a rank that a layer cannot use: its update has no more than min(in, out) directions.

    Args:
        model: with its LoRA weights in place.
        rank: theirs.

    Raises:
        TargetError: the message names the narrowest layer.
    """
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]
    widths = [(min(module.in_features, module.out_features), name, module) for name, module in layers]
    width, name, module = min(widths, key=lambda found: found[0])
    if rank > width:
        raise TargetError(
            f"a LoRA rank of {rank} is more than the layer {name.removeprefix('base_model.model.')} of "
            f"{module.in_features} × {module.out_features} can use; lower it to {width} at most, "
            "or leave that layer out of the targets"
        )
