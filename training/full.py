"""Full fine-tuning: a small base model's own weights learn, in fp32.

What is left is a whole model's folder, which transformers loads by itself:

    adapter/  model.safetensors config.json generation_config.json   the model, all weights in fp32
              tokenizer.json …                                       as the base model has them
              overrule.json README.md                                as beside LoRA weights
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from training.files import write_bytes
from training.job import Config
from training.student import Student, StudentError, frozen_below, load_base

WEIGHTS = "model.safetensors"

MOST_WEIGHTS = 2_000_000_000
"""Larger models are refused: LoRA learns them as well in a tenth of the memory."""

_BYTES_A_WEIGHT = 16
"""Of a weight that learns, in fp32: itself, its gradient, and the optimiser's two moments."""

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)

_log = logging.getLogger(__name__)


class FullStudent(Student):
    """A causal language model whose own weights learn, or have learned.

    Args:
        model: the model in fp32.
        device: where it computes.
        base: the base model's folder, for its weights as they were and its tokenizer.
    """

    def __init__(self, model: Any, device: torch.device, base: Path) -> None:
        super().__init__(model, device)
        self._base = base

    @property
    def frozen_layers(self) -> int:
        """How many layers lie below the lowest that learns; norm and head lie above them all."""
        if any(weight.requires_grad for weight in self.model.get_input_embeddings().parameters()):
            return 0
        layers = list(getattr(self.model.get_decoder(), "layers", ()))
        learning = (any(weight.requires_grad for weight in layer.parameters()) for layer in layers)
        return next((index for index, learns in enumerate(learning) if learns), 0)

    @contextmanager
    def base(self) -> Iterator[None]:
        """Compute as the base model would, with its own weights in place."""
        before = load_base(self._base, torch.device("cpu"), 0, dtype=torch.float32)
        learned = {
            name: weight.detach().to("cpu", copy=True) for name, weight in _weights(self.model).items()
        }
        _put(self.model, _weights(before))
        del before
        try:
            yield
        finally:
            _put(self.model, learned)

    def adapter_weights(self) -> dict[str, Tensor]:
        """A copy of the weights that learn, on the CPU, by the model's names; tied ones once."""
        return {
            name: weight.detach().to("cpu", copy=True).contiguous()
            for name, weight in self.trained_parameters().items()
        }

    def set_adapter_weights(self, weights: dict[str, Tensor]) -> None:
        """Put weights that learned in place.

        Raises:
            StudentError: they are not this model's.
        """
        own = self.trained_parameters()
        if own.keys() != weights.keys() or any(own[name].shape != weights[name].shape for name in own):
            raise StudentError("the saved weights do not fit this base model and configuration")
        _put(self.model, weights)

    def save(self, folder: Path) -> None:
        """Write a model's folder: all weights, configuration and tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: weight.detach().cpu().contiguous() for name, weight in _weights(self.model).items()}
        write_bytes(folder / WEIGHTS, safetensors.torch.save(weights, metadata={"format": "pt"}))
        self.model.config.save_pretrained(folder)
        self.model.generation_config.save_pretrained(folder)
        for name in _TOKENIZER_FILES:
            if (self._base / name).is_file():
                shutil.copy(self._base / name, folder)


def new_full_student(folder: Path, config: Config, device: torch.device) -> FullStudent:
    """A base model whose weights learn: all of them, or those of the upper layers.

    Where a share of the layers learns, so do the last norm and the head; a head that is the
    embedding too is left as it is, because its gradient would have to pass all layers.

    Args:
        folder: the base model.
        config: the share of the layers, and the longest example.
        device: where to compute.

    Raises:
        StudentError: the base model is too large, or cannot be loaded.
    """
    count = count_weights(folder)
    _require_small(count)
    _log.warning(
        "full fine-tuning keeps up to %.1f GB of weights, gradients and optimiser state",
        count * _BYTES_A_WEIGHT / 1e9,
    )
    model = load_base(folder, device, config.max_length, dtype=torch.float32)
    model.requires_grad_(True)
    _freeze_below(model, config.layers)
    return _checked(FullStudent(model, device, folder))


def load_full_student(base: Path, learned: Path, device: torch.device, max_length: int) -> FullStudent:
    """A model that learned in full, for scoring.

    Args:
        base: the base model's folder.
        learned: the folder that `FullStudent.save` wrote.
        device: where to compute.
        max_length: tokens in all.

    Raises:
        StudentError: it cannot be loaded.
    """
    if not (learned / WEIGHTS).is_file():
        raise StudentError(f"{learned} holds no {WEIGHTS}; Overrule loads no other kind of weights")
    model = load_base(learned, device, max_length, dtype=torch.float32)
    return _checked(FullStudent(model, device, base))


def count_weights(folder: Path) -> int:
    """How many weights a model's safetensors hold, read off their headers; tied ones count once."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safetensors.safe_open(path, "pt") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def _require_small(count: int) -> None:
    if count > MOST_WEIGHTS:
        raise StudentError(
            f"full fine-tuning of {count / 1e9:.1f} billion weights would take about "
            f"{count * _BYTES_A_WEIGHT / 1e9:.0f} GB of memory for weights, gradients and optimiser alone; "
            f"Overrule does it up to {MOST_WEIGHTS / 1e9:.0f} billion. "
            "Choose the method lora or qlora, or a smaller base model"
        )


def _checked(student: FullStudent) -> FullStudent:
    if student.device.type == "cuda":
        # The tensor cores' 19-bit products of fp32 numbers: several times faster, and precise
        # enough to learn with; weights, gradients and sums stay fp32.
        torch.set_float32_matmul_precision("high")
    return student


def _freeze_below(model: Any, share: float) -> None:
    """Leave what lies below the upper share of the layers as it is."""
    frozen = frozen_below(model, share)
    if frozen is None:
        return
    for name, module in model.named_modules():
        # A tied head is the embedding's own weight, so it is left as it is too.
        if frozen.fullmatch(name) or isinstance(module, torch.nn.Embedding):
            module.requires_grad_(False)


def _weights(model: Any) -> dict[str, Tensor]:
    """All weights by name; a weight that has two names (a tied head) under its first."""
    return dict(model.named_parameters())


@torch.no_grad()
def _put(model: Any, weights: dict[str, Tensor]) -> None:
    own = _weights(model)
    for name, weight in weights.items():
        own[name].copy_(weight)
