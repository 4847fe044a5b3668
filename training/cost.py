"""What there is to compute and to keep in memory, from a base model's files and settings; without torch.

Work is counted in floating-point operations that cannot be left out: a multiplication and an
addition for each weight and token forward, twice that for each weight that a gradient passes and
three times for each that learns (Kaplan et al. 2020, https://arxiv.org/abs/2001.08361, section
2.1), attention over the tokens that are seen, and the head at learned tokens alone. It is the
same for every way of computing it, so seconds divided by it compare one run with another.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import safe_open

from training.errors import LastingError
from training.job import Config
from training.machine import has_bf16_units
from training.policy import label_sets
from training.prompt import Example, Form, Renderer
from training.rows import (
    HEAD_ROWS,
    LARGEST_ROW,
    REASON_TOKENS,
    SCORED_TOKENS,
    WRITTEN_AT_ONCE,
    rows_of,
    tokens_of,
)

Device = Literal["cpu", "cuda"]

_LAYER = re.compile(r"(?:^|\.)(\d+)\.")


class UnknownShapeError(LastingError):
    """A base model's files do not say what there is to compute."""


@dataclass(frozen=True, slots=True)
class Linear:
    """One linear layer: its module's name and its weight's two sides."""

    name: str
    sides: tuple[int, int]

    @property
    def weights(self) -> int:
        """How many weights it has."""
        return self.sides[0] * self.sides[1]


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a base model says how much there is to compute.

    Attributes:
        layers: how many there are.
        linears: the linear layers of the uppermost one; the others have the same.
        attention: heads times the size of one.
        keys: the same of the heads of keys, of which several heads may share one.
        hidden, vocabulary: the sides of the head.
        weights: all of the model's.
        context: the longest sequence that it was made for; None where that is not said.
    """

    layers: int
    linears: tuple[Linear, ...]
    attention: int
    keys: int
    hidden: int
    vocabulary: int
    weights: int
    context: int | None

    @classmethod
    def read(cls, folder: Path) -> Shape:
        """Read it from a base model's configuration and the headers of its weights.

        Raises:
            UnknownShapeError: they do not say it.
        """
        try:
            config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
            sides = dict(_tensors(folder))
        except (OSError, ValueError) as error:
            raise UnknownShapeError(f"the base model in {folder} cannot be looked at: {error}") from error
        config |= config.get("text_config", {})
        of_layers: dict[int, list[Linear]] = {}
        for name, shape in sides.items():
            layer = _LAYER.search(name)
            if layer and len(shape) == 2 and name.endswith(".weight"):
                linear = Linear(name.removesuffix(".weight"), (shape[0], shape[1]))
                of_layers.setdefault(int(layer[1]), []).append(linear)
        if not of_layers:
            raise UnknownShapeError(f"the base model in {folder} has no layers that can be counted")
        linears = tuple(of_layers[max(of_layers)])
        hidden = _first(config, "hidden_size", "n_embd", "d_model") or min(linears[0].sides)
        heads = _first(config, "num_attention_heads", "n_head")
        attention = heads * (config.get("head_dim") or hidden // heads) if heads else hidden
        key_heads = _first(config, "num_key_value_heads")
        return cls(
            layers=len(of_layers),
            linears=linears,
            attention=attention,
            keys=attention * key_heads // heads if heads and key_heads else attention,
            hidden=hidden,
            vocabulary=_first(config, "vocab_size") or max(map(max, sides.values())),
            weights=sum(math.prod(shape) for shape in sides.values()),
            context=_first(config, "max_position_embeddings", "n_positions"),
        )

    @property
    def layer_weights(self) -> int:
        """Weights of the linear layers of one layer."""
        return sum(linear.weights for linear in self.linears)


def _first(config: dict[str, Any], *names: str) -> int | None:
    """The first of these that a configuration has: families name the same thing differently."""
    return next((int(config[name]) for name in names if config.get(name)), None)


def _tensors(folder: Path) -> Iterable[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all weights; only the files' headers are read."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - it is no dictionary
                yield name, tuple(file.get_slice(name).get_shape())


def learning_layers(shape: Shape, config: Config) -> int:
    """How many layers learn, counted from the top."""
    return math.ceil(config.layers * shape.layers)


def targeted(shape: Shape, config: Config) -> tuple[Linear, ...]:
    """The linear layers of one layer that get LoRA weights, matched as peft does it."""
    wanted = config.targets
    if wanted == "all-linear":
        return shape.linears
    if isinstance(wanted, str):
        return tuple(linear for linear in shape.linears if re.fullmatch(wanted, linear.name))
    return tuple(
        linear
        for linear in shape.linears
        if any(linear.name == name or linear.name.endswith(f".{name}") for name in wanted)
    )


def learned_weights(shape: Shape, config: Config) -> int:
    """How many weights learn: LoRA's, or with the method "full" the model's own."""
    learning = learning_layers(shape, config)
    if config.method == "full":
        return shape.weights if learning == shape.layers else learning * shape.layer_weights
    # DoRA also learns the size of each output.
    extra = sum(linear.sides[0] for linear in targeted(shape, config)) if config.dora else 0
    return learning * (sum(config.rank * sum(linear.sides) for linear in targeted(shape, config)) + extra)


def steps_in(count: int, config: Config) -> int:
    """Optimiser steps of a whole run over `count` examples."""
    return config.epochs * math.ceil(count / config.batch_size)


@dataclass(frozen=True, slots=True)
class Counts:
    """What lies in some packed rows.

    Attributes:
        examples: how many.
        tokens: a prefix counted as often as it is computed.
        pairs: of a token and one that it sees, itself included.
        states: at which the head is computed.
        longest: tokens of the longest row.
    """

    examples: int = 0
    tokens: int = 0
    pairs: int = 0
    states: int = 0
    longest: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.examples + other.examples,
            self.tokens + other.tokens,
            self.pairs + other.pairs,
            self.states + other.states,
            max(self.longest, other.longest),
        )


def counted(examples: Sequence[Example], budget: int) -> Counts:
    """What is computed of examples that are packed into rows of so many tokens."""
    total = Counts()
    for row in rows_of(examples, budget):
        prefix = len(row[0].prefix)
        owns = [len(example) - prefix for example in row]
        tokens = tokens_of(row)
        total += Counts(
            examples=len(row),
            tokens=tokens,
            pairs=_triangle(prefix) + sum(own * prefix + _triangle(own) for own in owns),
            states=sum(len(example.answer) for example in row),
            longest=tokens,
        )
    return total


def counted_scoring(prefix: int, tails: Iterable[int], nodes: int) -> Counts:
    """What is computed to score posts of one prompt.

    Args:
        prefix: tokens of the prefix, computed once.
        tails: tokens of each post and what follows it.
        nodes: tokens of answers behind each post.
    """
    each = list(tails)
    return Counts(
        examples=len(each),
        tokens=prefix + sum(each) + len(each) * nodes,
        pairs=_triangle(prefix)
        + sum((tail + nodes) * prefix + _triangle(tail) + nodes * tail for tail in each),
        states=len(each) * (nodes + 1),
    )


def answer_nodes(renderer: Renderer, form: Form) -> int:
    """Tokens behind each post that are always computed to score it: of the answers with one category or none.

    Their common beginnings count once, what closes them not at all. Which others are worth computing
    depends on the post (`training/likelihood.py`).
    """
    answers = (renderer.label_ids(form, labels) for labels in label_sets(renderer.policy.codes, 1))
    return len({ids[:end] for ids in answers for end in range(1, len(ids))})


def padded_tokens(batches: Iterable[Sequence[Example]]) -> int:
    """Tokens that are computed where each example stands alone, padded to its batch's longest.

    So do trainers that know nothing of prefixes, as they come (TRL's SFTTrainer).
    """
    return sum(len(batch) * max(map(len, batch)) for batch in batches)


def _triangle(tokens: int) -> int:
    return tokens * (tokens + 1) // 2


def forward_work(shape: Shape, counts: Counts, layers: int | None = None) -> float:
    """Floating-point operations without gradients; the few of LoRA weights are left out.

    Args:
        shape: of the base model.
        counts: what lies in the rows.
        layers: how many are computed; all where not given.
    """
    return (shape.layers if layers is None else layers) * _layer(shape, counts) + _head(shape, counts)


def lower_work(shape: Shape, config: Config, counts: Counts) -> float:
    """Floating-point operations of the layers below the lowest that learns, forward."""
    return (shape.layers - learning_layers(shape, config)) * _layer(shape, counts)


def training_work(shape: Shape, config: Config, counts: Counts, *, kept: bool = False) -> float:
    """Floating-point operations of the forward and the backward pass.

    The backward pass ends below the lowest layer that learns; there and in the head frozen
    weights have no gradients of their own.

    Args:
        shape: of the base model.
        config: the settings.
        counts: what lies in the rows.
        kept: whether what the layers below give is kept, so that they are not computed.
    """
    learning = learning_layers(shape, config)
    forward = forward_work(shape, counts, learning if kept else shape.layers)
    back = learning * (2.0 * shape.layer_weights * counts.tokens + 2 * _attention(shape, counts))
    return forward + back + _head(shape, counts) + _learning(shape, config, counts)


def _learning(shape: Shape, config: Config, counts: Counts) -> float:
    """What learning weights cost beside what frozen ones in their place would."""
    if config.method != "full":
        # They stand beside the frozen ones, so they are passed forward, too.
        return 6.0 * learned_weights(shape, config) * counts.tokens
    head = _head(shape, counts) if learning_layers(shape, config) == shape.layers else 0.0
    return 2.0 * learning_layers(shape, config) * shape.layer_weights * counts.tokens + head


def _layer(shape: Shape, counts: Counts) -> float:
    """Of one layer forward."""
    return 2.0 * shape.layer_weights * counts.tokens + _attention(shape, counts)


def _attention(shape: Shape, counts: Counts) -> float:
    """Of one layer forward: queries with keys, then the values' sum."""
    return 4.0 * shape.attention * counts.pairs


def _head(shape: Shape, counts: Counts) -> float:
    return 2.0 * shape.hidden * shape.vocabulary * counts.states


KEPT_SHARE = 0.25
"""How much of the free memory the kept states of the frozen layers may take."""

_ROW_SHARE = 0.5
_SMALLEST_ROW = 512

_FLOAT = 4
_PROCESS = 500e6
"""Bytes of a process that has loaded Python, torch and transformers, and nothing else."""

_KERNELS = 450e6
"""Bytes of what is compiled for a processor as rows of new lengths come, and of gaps between what is used,
which huge pages make larger: as much as 38 fine-tunes took beyond the rest of the formula."""

_POST_TOKENS = 64
"""Of a post that a reason is written of: more than most have."""

_KEPT_FOR_GRADIENTS = 1.5
"""Each linear layer's input and output are kept for the backward pass, and about half as much of what
lies between them (norms, rotations, the activation): 1.4 to 1.6 where it was measured."""

_NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight in 4 bits with its part of the scales (Dettmers et al. 2023, section 3)."""


def lower_bytes(shape: Shape, config: Config, tokens: int, device: Device) -> float:
    """Bytes that the frozen layers' states of so many tokens take; 0 where all layers learn."""
    frozen = shape.layers - learning_layers(shape, config)
    return _float(config, device) * tokens * shape.hidden if frozen else 0.0


def peak_memory(shape: Shape, config: Config, longest: int, device: Device) -> float:
    """Bytes that a fine-tune takes at its peak: of the process on a CPU, of the GPU's own on a GPU.

    A rough figure: base weights; learning weights with their gradients and AdamW's two moments;
    the larger of what one row keeps for its backward pass (all of a step's learned tokens may
    lie in it) and what a checkpoint copies; and the logits of scoring. A GPU has the last two one
    after the other, in the same place; a process' memory is too scattered by then, as measured.
    `lower_bytes` come on top where they are kept.

    Args:
        shape: of the base model.
        config: the settings.
        longest: tokens of the longest row.
        device: where it is computed.
    """
    learned = learned_weights(shape, config)
    sides = sum(sum(linear.sides) for linear in shape.linears)
    kept = _KEPT_FOR_GRADIENTS * _float(config, device) * longest * sides * learning_layers(shape, config)
    # In full fine-tuning the weights that learn are the base model's own.
    fixed = _base_bytes(shape, config, device) + (3 if config.method == "full" else 4) * _FLOAT * learned
    if device == "cuda":
        return fixed + max(kept, _scoring_bytes(shape, config, device))
    # A checkpoint's copy of weights, moments and best weights, and its written form.
    copies = 2 * 4 * _FLOAT * learned
    scoring = _scoring_bytes(shape, config, device) + _posts_bytes(shape, config)
    return _PROCESS + _KERNELS + fixed + max(kept, copies) + scoring


def _scoring_bytes(shape: Shape, config: Config, device: Device) -> float:
    """Logits of a call of the head and their exponentials in fp32, and the head itself where it is not."""
    head = 0 if _float(config, device) == _FLOAT else _FLOAT * shape.hidden
    return (2 * _FLOAT * HEAD_ROWS + head) * shape.vocabulary


def _posts_bytes(shape: Shape, config: Config) -> float:
    """Keys and values of the posts that a processor scores at once, and the states of a layer.

    Keys and values are there twice while posts are gone on with. Where a reason is written first, more of
    them are kept. A GPU's share was not measured; there rows are made smaller where they do not fit.
    """
    number, scored = _float(config, "cpu"), SCORED_TOKENS["cpu"]
    written = WRITTEN_AT_ONCE[number] * (_POST_TOKENS + REASON_TOKENS) if config.answers == "reasoned" else 0
    of_a_layer = sum(sum(linear.sides) for linear in shape.linears)
    return number * (2 * shape.layers * shape.keys * max(2 * scored, written) + scored * of_a_layer)


def row_budget(shape: Shape, config: Config, device: Device, free: float) -> int:
    """Tokens to a packed row: the largest row, halved until it takes half of what the model leaves free.

    Halves of one number, so that a little more or less free memory gives the same rows, and thus
    the same bits.

    Args:
        shape: of the base model.
        config: the settings.
        device: where it is computed.
        free: bytes, before the base model is loaded.
    """
    # In fp32 a GPU computes attention densely, whose memory grows with the square of a row.
    budget = LARGEST_ROW["cpu" if _float(config, device) == _FLOAT else device]
    fixed = peak_memory(shape, config, 0, device)
    room = fixed + (free - fixed) * _ROW_SHARE
    while budget > _SMALLEST_ROW and peak_memory(shape, config, budget, device) > room:
        budget //= 2
    return budget


def _base_bytes(shape: Shape, config: Config, device: Device) -> float:
    if config.method != "qlora":
        return _float(config, device) * shape.weights
    quantized = shape.layers * shape.layer_weights
    return _NF4 * quantized + _float(config, device) * (shape.weights - quantized)


def _float(config: Config, device: Device) -> int:
    """Bytes of a number, as `training.hardware.weights_dtype` will choose."""
    if config.method == "full" or config.precision == "float32":
        return _FLOAT
    return 2 if device == "cuda" or has_bf16_units() else _FLOAT
