"""The student: a frozen base model with LoRA weights, and how it is computed."""

from __future__ import annotations

import copy
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.utils import logging as transformers_logging

from training import hardware
from training.cost import Shape
from training.job import Config
from training.layout import PackedRow
from training.rows import ROW_TOKENS, SCORED_TOKENS

_HEAD_ROWS = 512
"""Positions for which the head is computed at once where no gradient is needed."""


@contextmanager
def _peft_behind_transformers() -> Iterator[None]:
    """Peft 0.21 reads a name that transformers has since changed; the warning is for peft's authors."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


class StudentError(Exception):
    """The model cannot be used as asked; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix' keys and values, one pair a layer, each (1, heads, P, head size)."""

    length: int
    states: tuple[tuple[Tensor, Tensor], ...]


class Student:
    """A causal language model, with LoRA weights or without.

    The model is never put into training mode: LoRA has no dropout here, and the base model's own
    would make training differ from what is scored.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model = model
        self.device = device
        self._causal = model.get_base_model() if isinstance(model, PeftModel) else model
        self.row_tokens = ROW_TOKENS[device.type]
        self.scored_tokens = SCORED_TOKENS[device.type]
        model.eval()

    @cached_property
    def shape(self) -> Shape:
        """What of the base model says how much there is to compute."""
        return Shape.read(Path(self._causal.name_or_path))

    @property
    def adapted(self) -> bool:
        """Whether it has LoRA weights."""
        return isinstance(self.model, PeftModel)

    def hidden(self, row: PackedRow) -> Tensor:
        """The last hidden states of a row, (T, D)."""
        row = row.to(self.device)
        output = self._causal.get_decoder()(
            input_ids=row.ids[None],
            position_ids=row.positions[None],
            attention_mask=None if row.mask is None else row.mask[None, None],
            use_cache=False,
        )
        states: Tensor = output.last_hidden_state[0]
        return states

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (N, D) to next-token logits (N, V) in fp32."""
        logits: Tensor = self._causal.get_output_embeddings()(hidden)
        return logits.float()

    def loss_sum(self, row: PackedRow) -> Tensor:
        """The loss summed over a row's learned tokens; the head sees no other token."""
        states = self.hidden(row)[row.learned_from.to(self.device)]
        return functional.cross_entropy(self.logits(states), row.targets.to(self.device), reduction="sum")

    @torch.no_grad()
    def prefill(self, ids: tuple[int, ...]) -> Prefix:
        """Compute a prefix once, for all the posts that begin with it."""
        cache = DynamicCache()
        self._causal.get_decoder()(
            input_ids=torch.tensor([ids], device=self.device), past_key_values=cache, use_cache=True
        )
        return Prefix(len(ids), tuple((layer.keys, layer.values) for layer in cache.layers))

    @torch.no_grad()
    def hidden_after(self, prefix: Prefix, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """The last hidden states of tokens that follow a prefix, (T, D).

        Args:
            prefix: what all of them see.
            ids: (T,) token ids.
            positions: (T,) positions, the prefix counted.
            mask: (T, T) True where a token sees another; the prefix is seen by all.
        """
        cache = DynamicCache()
        for index, (keys, values) in enumerate(prefix.states):
            cache.update(keys, values, index)
        sees_prefix = torch.ones(len(ids), prefix.length, dtype=torch.bool)
        output = self._causal.get_decoder()(
            input_ids=ids[None].to(self.device),
            position_ids=positions[None].to(self.device),
            attention_mask=torch.cat([sees_prefix, mask], dim=1)[None, None].to(self.device),
            past_key_values=cache,
            use_cache=True,
        )
        states: Tensor = output.last_hidden_state[0]
        return states

    @torch.no_grad()
    def log_probabilities(self, hidden: Tensor, rows: Tensor, tokens: Tensor) -> Tensor:
        """The logarithm of P(token | state) for pairs of a state and a token, (E,) fp32 on the CPU.

        Args:
            hidden: (N, D) states.
            rows: (E,) which state each pair is about, in rising order of states.
            tokens: (E,) the token of each pair.
        """
        result = torch.empty(len(rows), dtype=torch.float32)
        for start in range(0, len(hidden), _HEAD_ROWS):
            chosen = (rows >= start) & (rows < start + _HEAD_ROWS)
            logits = self.logits(hidden[start : start + _HEAD_ROWS])
            of_state = torch.logsumexp(logits, dim=-1)
            at = (rows[chosen] - start).to(self.device)
            result[chosen] = (logits[at, tokens[chosen].to(self.device)] - of_state[at]).cpu()
        return result

    @contextmanager
    def base(self) -> Iterator[None]:
        """Compute as the base model would, with the LoRA weights switched off."""
        if not self.adapted:
            yield
            return
        with self.model.disable_adapter():
            yield

    def trained_parameters(self) -> dict[str, torch.nn.Parameter]:
        """The weights that are learned, by name, in a fixed order."""
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    def adapter_weights(self) -> dict[str, Tensor]:
        """A copy of the LoRA weights on the CPU under peft's names."""
        weights = get_peft_model_state_dict(self.model, save_embedding_layers=False)
        return {name: weight.detach().to("cpu", copy=True).contiguous() for name, weight in weights.items()}

    def set_adapter_weights(self, weights: dict[str, Tensor]) -> None:
        """Put LoRA weights in place.

        Raises:
            StudentError: they are not this adapter's.
        """
        outcome = set_peft_model_state_dict(self.model, weights)
        missing = [name for name in outcome.missing_keys if "lora_" in name]
        if outcome.unexpected_keys or missing:
            raise StudentError("the saved adapter's weights do not fit this base model and configuration")

    def write_adapter_config(self, folder: Path) -> None:
        """Write peft's `adapter_config.json`."""
        config = copy.copy(self.model.peft_config["default"])
        config.inference_mode = True
        config.save_pretrained(str(folder))

    @torch.no_grad()
    def check_head(self) -> None:
        """Refuse a family whose logits are more than its head over its hidden states.

        Raises:
            StudentError: the logits computed here are not the model's own.
        """
        ids = torch.arange(1, 9, device=self.device)[None] % int(self._causal.config.vocab_size)
        own = self._causal(input_ids=ids, use_cache=False).logits[0].float()
        states = self._causal.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0]
        if not torch.allclose(self.logits(states), own, rtol=1e-3, atol=1e-3):
            raise StudentError(
                f"models of the kind {self._causal.config.model_type!r} treat their logits in a way that "
                "Overrule does not know; choose another base model"
            )


def load_base(folder: Path, device: torch.device, max_length: int) -> Any:
    """Load a base model's weights, frozen: fp32 on a CPU, bf16 on a GPU.

    Raises:
        StudentError: it cannot be loaded, or its context is shorter than `max_length`.
    """
    transformers_logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=hardware.weights_dtype(device),
            attn_implementation="sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
    except (OSError, ValueError, KeyError) as error:
        raise StudentError(f"the base model in {folder} cannot be loaded: {error}") from error
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and max_length > context:
        raise StudentError(
            f"a sequence length of {max_length} is more than the base model's {context}; lower it"
        )
    window = getattr(model.config, "sliding_window", None)
    if window is not None and max_length > window:
        raise StudentError(
            f"the base model looks back {window} tokens only; a sequence length of {max_length} is not exact"
        )
    model.requires_grad_(False)
    return model.to(device)


def _frozen_layers(base: Any, share: float) -> str | None:
    """A pattern for the modules in the layers below the upper share of them; None where all learn.

    Nothing below the lowest LoRA weight needs a gradient, so the backward pass ends there.

    Raises:
        StudentError: the model's layers cannot be told.
    """
    count = base.config.num_hidden_layers
    frozen = count - math.ceil(share * count)
    if frozen == 0:
        return None
    for name, module in base.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return rf"{re.escape(name)}\.({'|'.join(map(str, range(frozen)))})\..*"
    raise StudentError("this base model's layers cannot be counted; let all of them learn (layers = 1)")


def new_student(folder: Path, config: Config, device: torch.device, name: str) -> Student:
    """A base model with fresh LoRA weights in fp32, which change nothing until they are trained.

    Args:
        folder: the base model.
        config: rank, alpha, targets and the seed of the weights.
        device: where to compute.
        name: what the adapter calls its base model.

    Raises:
        StudentError: the base model cannot be loaded, or the targets match none of its layers.
    """
    base = load_base(folder, device, config.max_length)
    targets = config.targets if isinstance(config.targets, str) else list(config.targets)
    lora = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        target_modules=targets,
        exclude_modules=_frozen_layers(base, config.layers),
        bias="none",
    )
    torch.manual_seed(config.seed)
    try:
        with _peft_behind_transformers():
            model = get_peft_model(base, lora)
    except ValueError as error:
        raise StudentError(f"the LoRA targets {targets!r} do not fit this base model: {error}") from error
    model.peft_config["default"].base_model_name_or_path = name
    student = Student(model, device)
    student.check_head()
    return student


def load_student(folder: Path, adapter: Path | None, device: torch.device, max_length: int) -> Student:
    """A base model, with a trained adapter or without, for scoring.

    Raises:
        StudentError: it cannot be loaded, or the adapter is not in safetensors.
    """
    model = load_base(folder, device, max_length)
    if adapter is not None:
        if not (adapter / "adapter_model.safetensors").is_file():
            raise StudentError(f"{adapter} holds no adapter_model.safetensors; Overrule loads no other kind")
        try:
            with _peft_behind_transformers():
                model = PeftModel.from_pretrained(model, str(adapter), is_trainable=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise StudentError(f"the adapter in {adapter} does not fit the base model: {error}") from error
    student = Student(model, device)
    student.check_head()
    return student
