"""The student: a frozen base model with LoRA weights, and how it is computed."""

from __future__ import annotations

import copy
import logging
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from training import attention, hardware
from training.continuation import Continuation, Prefix
from training.cost import KEPT_SHARE, Shape
from training.errors import LastingError
from training.files import write_bytes
from training.head import exponentiated, is_plain, token_losses
from training.job import Config, Precision
from training.layout import PackedRow, pack
from training.lora import summed, use_lean_lora
from training.lower import LowerLayers
from training.norm import use_lean_norms
from training.prompt import Example
from training.quantized import nf4, require_4bit
from training.rows import FILLED_TO, HEAD_ROWS, LARGEST_ROW, SCORED_TOKENS, WRITTEN_AT_ONCE
from training.targets import check_ranks, check_targets

_log = logging.getLogger(__name__)

_APART = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""How far states may lie apart, of themselves, that are computed in two halves or in one, by rounding."""


@contextmanager
def _peft_behind_transformers() -> Iterator[None]:
    """Peft 0.21 reads a name that transformers has since changed; the warning is for peft's authors."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def _unread_mask(device: torch.device) -> Tensor:
    """Stands where transformers would draw a mask of all pairs of tokens, which nobody here reads."""
    return torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=device)


class StudentError(LastingError):
    """The model cannot be used as asked; the message says what to change."""


class Student:
    """A causal language model, with LoRA weights or without.

    The model is never put into training mode: LoRA has no dropout here, and the base model's own
    would make training differ from what is scored.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model = model
        self.device = device
        self._causal = model.get_base_model() if isinstance(model, PeftModel) else model
        self.row_tokens = LARGEST_ROW[device.type]
        self.row_multiple = FILLED_TO if device.type == "cpu" and self.dtype == torch.bfloat16 else 1
        self._lower: LowerLayers | None = None
        self.scored_tokens = SCORED_TOKENS[device.type]
        self.written_at_once = WRITTEN_AT_ONCE[self.dtype.itemsize]
        model.eval()
        if self.adapted:
            use_lean_lora(model)
        if device.type == "cpu":
            use_lean_norms(model)

    @cached_property
    def shape(self) -> Shape:
        """What of the base model says how much there is to compute."""
        return Shape.read(Path(self._causal.name_or_path))

    @property
    def decoder(self) -> Any:
        """The base model without its head."""
        return self._causal.get_decoder()

    @property
    def kind(self) -> str:
        """What transformers calls the base model's family."""
        return str(self._causal.config.model_type)

    @property
    def stateful(self) -> bool:
        """Whether its layers hand a state from token to token, which a row of many posts must not do."""
        return bool(self._causal._is_stateful)

    @property
    def dtype(self) -> torch.dtype:
        """Of the base model's weights."""
        dtype: torch.dtype = self._causal.dtype
        return dtype

    @property
    def adapted(self) -> bool:
        """Whether it has LoRA weights."""
        return isinstance(self.model, PeftModel)

    def hidden(self, row: PackedRow) -> Tensor:
        """The last hidden states of a row, (T, D)."""
        tokens = len(row.ids)
        row = row.filled(self.row_multiple).to(self.device)
        common = {
            "position_ids": row.positions[None],
            "attention_mask": _unread_mask(self.device),
            "segments": row.segments,
            "use_cache": False,
        }
        decoder = self.decoder
        if self._lower is not None and row in self._lower:
            given = self._lower.input_above(row)
            with self._lower.left_out():
                output = decoder(inputs_embeds=given, **common)
        else:
            output = decoder(input_ids=row.ids[None], **common)
        states: Tensor = output.last_hidden_state[0, :tokens]
        return states

    @property
    def frozen_layers(self) -> int:
        """How many layers lie below the lowest that learns; 0 where that cannot be told."""
        layers = list(getattr(self.decoder, "layers", ()))
        for index, layer in enumerate(layers):
            if any(weight.requires_grad for weight in layer.parameters()):
                above = sum(
                    weight.numel() for each in layers for weight in each.parameters() if weight.requires_grad
                )
                everything = sum(weight.numel() for weight in self.trained_parameters().values())
                return index if above == everything else 0
        return 0

    @property
    def share_learning(self) -> float:
        """The share of the layers that a gradient reaches."""
        return 1 - self.frozen_layers / int(self._causal.config.num_hidden_layers)

    @property
    def tokens_below(self) -> int:
        """Tokens for which the frozen lower layers were computed to be kept, so far."""
        return self._lower.tokens if self._lower is not None else 0

    def keep_lower(self, groups: Sequence[Sequence[Example]]) -> bool:
        """Keep what the frozen lower layers give for these examples from now on.

        The states take memory (tokens x width); where they would take more than a quarter of what
        is free, or the model cannot be computed in two halves, nothing is kept and nothing changes.

        Args:
            groups: the examples, in the company in which each is computed, once.

        Returns:
            Whether they are kept.
        """
        frozen = self.frozen_layers
        tokens = sum(len(example) - len(example.prefix) for group in groups for example in group)
        width = self._causal.config.hidden_size * self.dtype.itemsize
        if not frozen or tokens * width > hardware.free_bytes(self.device) * KEPT_SHARE:
            return False
        lower = LowerLayers(
            self.decoder,
            frozen,
            groups,
            row_tokens=lambda: self.row_tokens,
            row_multiple=self.row_multiple,
            device=self.device,
        )
        row = next(pack(groups[0][:1], self.row_tokens))
        with torch.no_grad():
            whole = self.hidden(row)
            self._lower = lower
            apart = (self.hidden(row) - whole).norm() / whole.norm()
        if apart > _APART[self.dtype]:
            _log.warning("the frozen layers are computed each time: apart they differ by %.2g", apart)
            self._lower = None
        return self._lower is not None

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (N, D) to next-token logits (N, V) as the model has them, kept in fp32."""
        logits: Tensor = self._causal.get_output_embeddings()(hidden)
        return logits.float()

    def exact_logits(self, hidden: Tensor) -> Tensor:
        """The same, computed in fp32 too, where the head is a plain layer.

        Logits rounded to bf16 lie up to an eighth apart, and probabilities read off them would tie.
        """
        head = self._causal.get_output_embeddings()
        if type(head) is not torch.nn.Linear:
            return self.logits(hidden)
        bias = None if head.bias is None else head.bias.float()
        return functional.linear(hidden.float(), head.weight.float(), bias)

    def loss_sum(self, row: PackedRow) -> Tensor:
        """The loss summed over a row's learned tokens, each by its weight; the head sees no other token."""
        losses = self._losses(row)
        return (losses if row.weights is None else losses * row.weights.to(losses.device)).sum()

    def answer_log_probabilities(self, row: PackedRow, lengths: Sequence[int]) -> Tensor:
        """The logarithm of P(answer) for each example of a row, (E,) in fp32.

        Args:
            row: a packed row.
            lengths: learned tokens of each example, in the row's order; the end token is one.
        """
        return -torch.stack([of_answer.sum() for of_answer in torch.split(self._losses(row), list(lengths))])

    def _losses(self, row: PackedRow) -> Tensor:
        """The loss of each learned token, (L,) in fp32.

        Logits take far more memory than states, so only those of one chunk are there at a time: where
        the head learns and there are several, the backward pass computes each chunk's again.
        """
        states, targets = self.hidden(row)[row.learned_from.to(self.device)], row.targets.to(self.device)
        head = self._causal.get_output_embeddings()
        if is_plain(head):
            return token_losses(states, head, targets)
        chunks = zip(torch.split(states, HEAD_ROWS), torch.split(targets, HEAD_ROWS), strict=True)
        if len(targets) <= HEAD_ROWS:
            return self._losses_of(*next(chunks))
        anew = partial(checkpoint, self._losses_of, use_reentrant=False, preserve_rng_state=False)
        return torch.cat([anew(*chunk) for chunk in chunks])

    def _losses_of(self, states: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(self.logits(states), targets, reduction="none")

    @torch.no_grad()
    def prefill(self, ids: tuple[int, ...]) -> Prefix:
        """Compute a prefix once, for all the posts that begin with it."""
        return Continuation(self, Prefix(0, ()), [ids]).as_prefix()

    @torch.no_grad()
    def hidden_behind(self, prefix: Prefix, ids: Tensor, positions: Tensor, posts: Continuation) -> Tensor:
        """The last hidden states of tokens behind a prefix, (T, D).

        Args:
            prefix: what all tokens see.
            ids: (T,) token ids.
            positions: (T,) positions behind the prefix, from 0.
            posts: what the tokens belong to, which computes their attention.
        """
        output = self.decoder(
            input_ids=ids[None].to(self.device),
            position_ids=(prefix.length + positions)[None].to(self.device),
            attention_mask=_unread_mask(self.device),
            posts=posts,
            use_cache=False,
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
        for start in range(0, len(hidden), HEAD_ROWS):
            chosen = (rows >= start) & (rows < start + HEAD_ROWS)
            logits = self.exact_logits(hidden[start : start + HEAD_ROWS])
            at = (rows[chosen] - start).to(self.device)
            of_tokens, totals = exponentiated(logits, at, tokens[chosen].to(self.device))
            result[chosen] = (of_tokens - totals.log_()[at]).cpu()
        return result

    @contextmanager
    def base(self) -> Iterator[None]:
        """Compute as the base model would, with the LoRA weights switched off."""
        if not self.adapted:
            yield
            return
        with self.model.disable_adapter():
            yield

    @contextmanager
    def summed(self) -> Iterator[None]:
        """Compute with LoRA and frozen weights added up, while neither changes, where memory allows it."""
        with summed(self.model, hardware.free_bytes(self.device) * KEPT_SHARE):
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

    def save(self, folder: Path) -> None:
        """Write peft's two files, `adapter_model.safetensors` and `adapter_config.json`."""
        weights = safetensors.torch.save(self.adapter_weights(), metadata={"format": "pt"})
        write_bytes(folder / "adapter_model.safetensors", weights)
        self.write_adapter_config(folder)

    def write_adapter_config(self, folder: Path) -> None:
        """Write peft's `adapter_config.json`."""
        config = copy.copy(self.model.peft_config["default"])
        config.inference_mode = True
        config.save_pretrained(str(folder))


def load_base(
    folder: Path,
    device: torch.device,
    max_length: int,
    *,
    dtype: torch.dtype,
    quantized: bool = False,
) -> Any:
    """Load a base model's weights, frozen.

    Args:
        folder: the base model.
        device: where to compute.
        max_length: the longest example in tokens.
        dtype: of the weights.
        quantized: whether its linear layers are kept in 4 bits.

    Raises:
        StudentError: it cannot be loaded, or its context is shorter than `max_length`.
        QuantizationError: 4 bits cannot be had here.
    """
    if quantized:
        require_4bit(device)
    transformers_logging.disable_progress_bar()
    attention.register()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            quantization_config=nf4() if quantized else None,
            device_map={"": device} if quantized else None,
            attn_implementation=attention.NAME,
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
    return model if quantized else model.to(device)


def frozen_below(base: Any, share: float) -> re.Pattern[str] | None:
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
            return re.compile(rf"{re.escape(name)}\.({'|'.join(map(str, range(frozen)))})\..*")
    raise StudentError("this base model's layers cannot be counted; let all of them learn (layers = 1)")


def new_student(folder: Path, config: Config, device: torch.device, name: str) -> Student:
    """A base model with fresh LoRA weights in fp32, which change nothing until they are trained.

    Args:
        folder: the base model.
        config: the method (lora or qlora), rank, alpha, targets and the seed of the weights.
        device: where to compute.
        name: what the adapter calls its base model.

    Raises:
        StudentError: the base model cannot be loaded.
        TargetError: a target matches none of its layers, or the rank is more than a layer can use.
    """
    dtype = hardware.weights_dtype(device, config.precision)
    base = load_base(folder, device, config.max_length, dtype=dtype, quantized=config.method == "qlora")
    frozen = frozen_below(base, config.layers)
    targets = config.targets if isinstance(config.targets, str) else list(config.targets)
    check_targets(base, targets)
    lora = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        target_modules=targets,
        exclude_modules=frozen.pattern if frozen else None,
        bias="none",
        use_rslora=config.rslora,
        use_dora=config.dora,
    )
    torch.manual_seed(config.seed)
    try:
        with _peft_behind_transformers():
            model = get_peft_model(base, lora)
    except ValueError as error:
        raise StudentError(f"the LoRA targets {targets!r} do not fit this base model: {error}") from error
    check_ranks(model, config.rank)
    model.peft_config["default"].base_model_name_or_path = name
    return Student(model, device)


def load_student(
    folder: Path,
    adapter: Path | None,
    device: torch.device,
    max_length: int,
    *,
    precision: Precision = "auto",
    quantized: bool = False,
) -> Student:
    """A base model, with a trained adapter or without, for scoring.

    Raises:
        StudentError: it cannot be loaded, or the adapter is not in safetensors.
        QuantizationError: it was trained over 4 bits, which cannot be had here.
    """
    dtype = hardware.weights_dtype(device, precision)
    model = load_base(folder, device, max_length, dtype=dtype, quantized=quantized)
    if adapter is not None:
        if not (adapter / "adapter_model.safetensors").is_file():
            raise StudentError(f"{adapter} holds no adapter_model.safetensors; Overrule loads no other kind")
        try:
            with _peft_behind_transformers():
                model = PeftModel.from_pretrained(model, str(adapter), is_trainable=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise StudentError(f"the adapter in {adapter} does not fit the base model: {error}") from error
    return Student(model, device)
