"""Checkpoints: complete or absent, and enough to go on as if nothing had happened.

    checkpoints/step-00000120/  tensors.safetensors   LoRA weights, best weights, optimiser, random state
                                state.json            counters, what run it is of, its files' sizes

One is made aside, synced and renamed to a name that none has yet: a step's second is called
`step-00000120-2`. Only then the one before it goes, so at each moment one is complete. `state.json`
is written last and lists the sizes, so that one that was copied half is not taken for complete either.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from training.files import sync_folder

_TENSORS = "tensors.safetensors"
_STATE = "state.json"
_NAME = re.compile(r"step-(\d{8})(?:-(\d+))?")


@dataclass(slots=True)
class Best:
    """The best validation so far: its loss per learned token, its step and its LoRA weights.

    `macro_f1` is there where that chooses what is best.
    """

    loss: float
    step: int
    weights: dict[str, Tensor]
    macro_f1: float | None = None


@dataclass(slots=True)
class Snapshot:
    """A run between two steps.

    Attributes:
        step: optimiser steps done; the learning rate and the data order follow from it.
        validated: the last step after which the validation loss was taken.
        weights: LoRA weights by peft's names.
        optimizer: the optimiser's state by parameter and quantity.
        random: states of the random generators by device.
        row_tokens: the budget of a packed row; another one would round differently.
        kept_lower: whether what the frozen layers give is kept, which rounds differently too; None
            where the checkpoint does not say.
        best: None before the first validation.
    """

    step: int
    validated: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    row_tokens: int
    random: dict[str, Tensor] = field(default_factory=dict)
    best: Best | None = None
    kept_lower: bool | None = None


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: `checkpoints/` of the job's folder.
        identity: the hash of all that shapes the run; others' checkpoints are never resumed.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self._identity = identity

    def save(self, snapshot: Snapshot) -> Path:
        """Write a checkpoint, then drop the one before.

        Raises:
            OSError: it cannot be written; the one before stays and nothing half-written does.
        """
        target = self._unused(snapshot.step)
        aside = self.folder / f".{target.name}.partial"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._drop_partial()
        try:
            aside.mkdir()
            self._write(aside, snapshot)
            aside.rename(target)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        sync_folder(self.folder)
        for other in self._all():
            if other != target:
                shutil.rmtree(other, ignore_errors=True)
        return target

    def latest(self) -> Snapshot | None:
        """The newest complete checkpoint of this run, or None."""
        for folder in sorted(self._all(), key=_number, reverse=True):
            state = _complete_state(folder)
            if state is not None and state["identity"] == self._identity:
                return _read(folder, state)
        return None

    def _unused(self, step: int) -> Path:
        """Where a step's next checkpoint goes: a step's second holds more (its validation)."""
        later = max((number for of, number in map(_number, self._all()) if of == step), default=0) + 1
        return self.folder / (f"step-{step:08d}" if later == 1 else f"step-{step:08d}-{later}")

    def _all(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]

    def _drop_partial(self) -> None:
        for path in self.folder.glob(".*.partial"):
            shutil.rmtree(path, ignore_errors=True)

    def _write(self, folder: Path, snapshot: Snapshot) -> None:
        tensors = _prefixed("weights", snapshot.weights) | _prefixed("optimizer", snapshot.optimizer)
        tensors |= _prefixed("random", snapshot.random)
        state: dict[str, Any] = {
            "identity": self._identity,
            "step": snapshot.step,
            "validated": snapshot.validated,
            "row_tokens": snapshot.row_tokens,
            "kept_lower": snapshot.kept_lower,
        }
        if snapshot.best is not None:
            tensors |= _prefixed("best", snapshot.best.weights)
            best = snapshot.best
            state["best"] = {"loss": best.loss, "step": best.step, "macro_f1": best.macro_f1}
        # Through bytes, because safetensors' own writer reports a full disk as something else.
        content = safetensors.torch.save(tensors)
        _write_synced(folder / _TENSORS, content)
        state["sizes"] = {_TENSORS: len(content)}
        _write_synced(folder / _STATE, json.dumps(state).encode())


def _number(folder: Path) -> tuple[int, int]:
    """A checkpoint's step, and its number among those of that step."""
    found = _NAME.fullmatch(folder.name)
    assert found is not None, "only folders with such names are asked about"
    return int(found[1]), int(found[2] or 1)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _complete_state(folder: Path) -> dict[str, Any] | None:
    """What `state.json` says, or None where the checkpoint is not complete."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        state: dict[str, Any] = json.loads((folder / _STATE).read_text("utf-8"))
        if all((folder / name).stat().st_size == size for name, size in state["sizes"].items()):
            return state
    return None


def _read(folder: Path, state: dict[str, Any]) -> Snapshot:
    tensors = safetensors.torch.load_file(folder / _TENSORS)
    best = state.get("best")
    return Snapshot(
        step=state["step"],
        validated=state["validated"],
        weights=_under("weights", tensors),
        optimizer=_under("optimizer", tensors),
        row_tokens=state["row_tokens"],
        random=_under("random", tensors),
        best=Best(**best, weights=_under("best", tensors)) if best else None,
        kept_lower=state.get("kept_lower"),
    )


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor.contiguous() for name, tensor in tensors.items()}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}/"): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}/")
    }


def random_states() -> dict[str, Tensor]:
    """The states of torch's random generators by device."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda:{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_random_states(states: dict[str, Tensor]) -> None:
    """Put the random generators back; devices that are no longer there are left out."""
    for name, state in states.items():
        if name == "cpu":
            torch.set_rng_state(state)
        elif int(name.removeprefix("cuda:")) < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, name)
