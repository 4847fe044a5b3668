"""Reasons that a student writes before it classifies, for students taught the reasoned form only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from training.fitting import attempt
from training.memory import MemoryShortError
from training.prompt import CLASSIFICATION, Example, Renderer
from training.student import Student

_REASON_TOKENS = 192
"""The longest reason, in tokens; what is longer is cut and the classification asked for."""

_AT_ONCE = 16
_HEADING_TOKENS = 16
"""How many of the last tokens are read to see whether the classification's heading was written."""


class _HeadingWritten(StoppingCriteria):  # type: ignore[misc]
    """Ends each post's reason where the classification would begin."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def __call__(self, ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Which of the texts (B,) have come to the heading."""
        ends = [self._renderer.decode(row[-_HEADING_TOKENS:].tolist()) for row in ids]
        return torch.tensor([end.endswith(CLASSIFICATION) for end in ends], device=ids.device)


@torch.no_grad()
def write_reasons(
    student: Student, renderer: Renderer, examples: Sequence[Example], max_length: int
) -> list[tuple[int, ...]]:
    """Let the student write a reason for each post, greedily.

    Args:
        student: the model that writes.
        renderer: of the reasoned prompt.
        examples: prompts without an answer.
        max_length: tokens in all, prompt and reason.

    Returns:
        For each post what follows the prefix: post, suffix, reason, and the classification's
        heading, which is added where the student did not come to it.

    Raises:
        MemoryShortError: a post does not fit into memory alone.
    """
    tails: list[tuple[int, ...]] = [()] * len(examples)
    order = sorted(range(len(examples)), key=lambda index: len(examples[index]))
    for start in range(0, len(order), _AT_ONCE):
        chosen = order[start : start + _AT_ONCE]
        longest = max(len(examples[index]) for index in chosen)
        room = min(_REASON_TOKENS, max_length - len(renderer.reason_end_ids) - longest)
        written = _generate_that_fit(student, renderer, [examples[index] for index in chosen], room)
        for index, reason in zip(chosen, written, strict=True):
            tails[index] = examples[index].post + examples[index].suffix + reason
    return tails


def _generate_that_fit(
    student: Student, renderer: Renderer, examples: Sequence[Example], room: int
) -> list[tuple[int, ...]]:
    """As `_generate`; where memory runs out, in halves.

    Raises:
        MemoryShortError: a post does not fit alone.
    """
    written = attempt(lambda: _generate(student, renderer, examples, room))
    if written is not None:
        return written
    if len(examples) == 1:
        raise MemoryShortError(f"the reason for a single post of {len(examples[0]):,} tokens")
    half = len(examples) // 2
    return [
        reason
        for part in (examples[:half], examples[half:])
        for reason in _generate_that_fit(student, renderer, part, room)
    ]


def _generate(
    student: Student, renderer: Renderer, examples: Sequence[Example], room: int
) -> list[tuple[int, ...]]:
    """Generate with the prompts padded on the left; the padding is masked."""
    if room < 1:
        return [renderer.reason_end_ids for _ in examples]
    longest = max(len(example) for example in examples)
    ids = torch.full((len(examples), longest), renderer.end_id)
    mask = torch.zeros((len(examples), longest), dtype=torch.long)
    for row, example in enumerate(examples):
        ids[row, longest - len(example) :] = torch.tensor(example.ids)
        mask[row, longest - len(example) :] = 1
    output = student.model.generate(
        input_ids=ids.to(student.device),
        attention_mask=mask.to(student.device),
        generation_config=GenerationConfig(
            max_new_tokens=room,
            do_sample=False,
            eos_token_id=renderer.end_id,
            pad_token_id=renderer.end_id,
        ),
        stopping_criteria=StoppingCriteriaList([_HeadingWritten(renderer)]),
    )
    return [_up_to_heading(renderer, row[longest:].tolist()) for row in output]


def _up_to_heading(renderer: Renderer, ids: list[int]) -> tuple[int, ...]:
    """Cut what was written after the heading (padding), or add the heading where it is missing."""
    if renderer.end_id in ids:
        ids = ids[: ids.index(renderer.end_id)]
    for end in range(len(ids), 0, -1):
        if renderer.decode(ids[max(0, end - _HEADING_TOKENS) : end]).endswith(CLASSIFICATION):
            return tuple(ids[:end])
    return (*ids, *renderer.reason_end_ids)
