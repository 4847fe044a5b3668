"""Whether a base model's family is computed here as it is by itself.

Packed rows and continuations hand the layers of a model what its own code does not know of. Families
whose layers do not pass that on, keep a state from token to token or treat scores and logits in ways
of their own would be computed wrongly without a word. So each model is asked when it is loaded: two
short examples alone, by its own attention, and both packed and gone on with, have to give the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from training.continuation import Continuation, Fed
from training.layout import pack
from training.memory import is_out_of_memory
from training.prompt import Example
from training.student import Student, StudentError

_LENGTHS = (4, 3, 5)
"""Tokens of the prefix and of the two examples."""

_APART = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""How far states may lie apart, of themselves, by rounding: some hundred times as far as they do."""

Ids = tuple[int, ...]

_OTHER_LOGITS = (
    "models of the kind {kind!r} treat their logits in a way that Overrule does not know; "
    "choose another base model"
)
_OTHER_LAYERS = (
    "models of the kind {kind!r} are computed in a way of their own, which rows of many posts do not have; "
    "choose a base model of another family, such as Llama, Qwen, Gemma 3, OLMo, Phi or SmolLM"
)


@torch.no_grad()
def check_family(student: Student) -> None:
    """Refuse a family that would be computed otherwise than by itself.

    Raises:
        StudentError: states or logits are others, or cannot be had.
    """
    kind = student.kind
    if student.stateful:
        raise StudentError(_OTHER_LAYERS.format(kind=kind))
    prefix, first, second = asked = _ordinary_tokens(student)
    try:
        alone = [_alone(student, prefix + own)[len(prefix) :] for own in (first, second)]
        same = all(
            _close(student, states, alone) for states in (_packed(student, *asked), _gone_on(student, *asked))
        )
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise StudentError(_OTHER_LAYERS.format(kind=kind)) from error
    if not same:
        raise StudentError(_OTHER_LAYERS.format(kind=kind))
    ids = torch.tensor([prefix + second], device=student.device)
    own = student.model(input_ids=ids, use_cache=False).logits[0].float()
    states = student.decoder(input_ids=ids, use_cache=False).last_hidden_state[0]
    if not torch.allclose(student.logits(states), own, rtol=1e-3, atol=1e-3):
        raise StudentError(_OTHER_LOGITS.format(kind=kind))


def _ordinary_tokens(student: Student) -> list[Ids]:
    """A prefix and two examples, of tokens out of the middle of the vocabulary.

    Special tokens stand at its ends. Many were never trained, and the states of such a one can move by
    a thousandth for a rounding in another order.
    """
    vocabulary = student.model.get_input_embeddings().num_embeddings
    chosen = torch.linspace(vocabulary // 4, vocabulary // 2, sum(_LENGTHS)).long()
    return [tuple(ids.tolist()) for ids in chosen.flip(0).split_with_sizes(_LENGTHS)]


def _alone(student: Student, ids: Ids) -> Tensor:
    """The states of one example, (T, D), by the model's own attention."""
    with _own_attention(student.decoder.config):
        output = student.decoder(input_ids=torch.tensor([ids], device=student.device), use_cache=False)
    states: Tensor = output.last_hidden_state[0]
    return states


@contextmanager
def _own_attention(config: Any) -> Iterator[None]:
    before = config._attn_implementation
    config._attn_implementation = "eager"
    try:
        yield
    finally:
        config._attn_implementation = before


def _packed(student: Student, prefix: Ids, first: Ids, second: Ids) -> list[Tensor]:
    """The examples' states out of one packed row."""
    [row] = pack([Example(prefix, own[:-1], (), own[-1:]) for own in (first, second)], budget=1000)
    behind = student.hidden(row)[len(prefix) :]
    return list(torch.split(behind, [len(first), len(second)]))


def _gone_on(student: Student, prefix: Ids, first: Ids, second: Ids) -> list[Tensor]:
    """The first's last state, and the second's last three of which two are gone on with."""
    posts = Continuation(student, student.prefill(prefix), [first, second[:-2]])
    slots = torch.arange(len(second) - 2, len(second))
    sees = torch.arange(len(second)) <= slots[:, None]
    last = posts.go_on(Fed(torch.tensor([1, 1]), torch.tensor(second[-2:]), slots, slots, sees))
    return [posts.last[:1], torch.cat([posts.last[1:], last])]


def _close(student: Student, found: list[Tensor], alone: list[Tensor]) -> bool:
    """Whether states are those of the examples alone, as far as rounding lets them."""
    apart = [
        ((states - own[-len(states) :]).float().norm() / own.float().norm()).item()
        for states, own in zip(found, alone, strict=True)
    ]
    return bool(max(apart) <= _APART[student.dtype])
