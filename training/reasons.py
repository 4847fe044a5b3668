"""What a student writes of posts, greedily: a reason before it classifies, or its whole answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig, StoppingCriteria, StoppingCriteriaList

from training.fitting import attempt
from training.memory import MemoryShortError
from training.prompt import CLASSIFICATION, Example, Form, Renderer, UnreadableAnswerError, parse_answer
from training.student import Prefix, Student

Written = tuple[int, ...]
"""The token ids that a student wrote of a post, without the end token."""

_REASON_TOKENS = 192
"""The longest reason, in tokens; what is longer is cut and the classification asked for."""

_AT_ONCE = 16
_HEADING_TOKENS = 16
"""How many of the last tokens are read to see whether the classification's heading was written."""

_PARTS = {"analysis": pa.string(), "harmful": pa.list_(pa.string()), "labels": pa.list_(pa.string())}


class _HeadingWritten(StoppingCriteria):  # type: ignore[misc]
    """Ends each post's reason where the classification would begin."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def __call__(self, ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Which of the texts (B,) have come to the heading."""
        ends = [self._renderer.decode(row[-_HEADING_TOKENS:].tolist()) for row in ids]
        return torch.tensor([end.endswith(CLASSIFICATION) for end in ends], device=ids.device)


@torch.no_grad()
def write(
    student: Student,
    renderer: Renderer,
    prefix: Prefix,
    examples: Sequence[Example],
    max_length: int,
    *,
    label_tokens: int = 0,
    on_written: Callable[[int], None] = lambda posts: None,
) -> list[Written]:
    """Let the student write an answer to each post, greedily and many at once.

    Args:
        student: the model that writes.
        renderer: of the prompt.
        prefix: the states of the prompts' prefix, which all posts share.
        examples: prompts without an answer.
        max_length: tokens in all of prompt and reason.
        label_tokens: how many more the classification may take. Without any, nothing is written
            after the heading of a reasoned answer's classification.
        on_written: called with how many more posts are done; it may raise to stop.

    Raises:
        MemoryShortError: a post does not fit into memory alone.
    """
    answers: list[Written] = [()] * len(examples)
    order = sorted(range(len(examples)), key=lambda index: len(examples[index]))
    for start in range(0, len(order), _AT_ONCE):
        chosen = order[start : start + _AT_ONCE]
        rooms = [reason_room(renderer, examples[index], max_length) + label_tokens for index in chosen]
        prompts = [examples[index] for index in chosen]
        found = _generate_that_fit(student, renderer, prefix, prompts, max(rooms), not label_tokens)
        for index, answer, room in zip(chosen, found, rooms, strict=True):
            answers[index] = answer[:room]
        on_written(len(chosen))
    return answers


def reason_room(renderer: Renderer, example: Example, max_length: int) -> int:
    """Tokens that a post's reason may take, so that its heading still fits behind it."""
    return max(0, min(_REASON_TOKENS, max_length - len(example) - len(renderer.reason_end_ids)))


def reason_in(renderer: Renderer, written: Written, room: int) -> Written:
    """What was written up to the classification's heading, which is added where it is missing.

    Args:
        renderer: of the reasoned prompt.
        written: an answer, or its beginning.
        room: tokens that the reason may take.
    """
    for end in range(1, min(room, len(written)) + 1):
        if renderer.decode(written[max(0, end - _HEADING_TOKENS) : end]).endswith(CLASSIFICATION):
            return written[:end]
    return (*written[:room], *renderer.reason_end_ids)


def read_written(renderer: Renderer, form: Form, ids: Sequence[Any], written: Sequence[Written]) -> pa.Table:
    """Answers as a table: id, analysis, harmful (a list), labels (a list of codes).

    An answer that cannot be read has its whole text as analysis, and null as labels.
    """
    parts = [_parts(renderer, form, renderer.decode(answer)) for answer in written]
    columns = (
        pa.array([part[column] for part in parts], kind) for column, kind in enumerate(_PARTS.values())
    )
    return pa.table({"id": pa.array(list(ids))} | dict(zip(_PARTS, columns, strict=True)))


def _parts(renderer: Renderer, form: Form, text: str) -> tuple[str, list[str], list[str] | None]:
    try:
        answer = parse_answer(renderer.policy, form, text)
    except UnreadableAnswerError:
        return text, [], None
    return answer.analysis or "", list(answer.harmful), list(answer.labels)


def _generate_that_fit(
    student: Student,
    renderer: Renderer,
    prefix: Prefix,
    examples: Sequence[Example],
    room: int,
    to_heading: bool,
) -> list[Written]:
    """As `_generate`; where memory runs out, in halves.

    Raises:
        MemoryShortError: a post does not fit alone.
    """
    written = attempt(lambda: _generate(student, renderer, prefix, examples, room, to_heading))
    if written is not None:
        return written
    if len(examples) == 1:
        raise MemoryShortError(f"the reason for a single post of {len(examples[0]):,} tokens")
    half = len(examples) // 2
    return [
        answer
        for part in (examples[:half], examples[half:])
        for answer in _generate_that_fit(student, renderer, prefix, part, room, to_heading)
    ]


def _generate(
    student: Student,
    renderer: Renderer,
    prefix: Prefix,
    examples: Sequence[Example],
    room: int,
    to_heading: bool,
) -> list[Written]:
    """Generate after the shared prefix, the posts padded on the left; the padding is masked."""
    if room < 1:
        return [()] * len(examples)
    longest = max(len(example) for example in examples)
    ids = torch.full((len(examples), longest), renderer.end_id)
    mask = torch.zeros((len(examples), longest), dtype=torch.long)
    ids[:, : prefix.length] = torch.tensor(examples[0].prefix)
    mask[:, : prefix.length] = 1
    for row, example in enumerate(examples):
        own = example.post + example.suffix
        ids[row, longest - len(own) :] = torch.tensor(own)
        mask[row, longest - len(own) :] = 1
    output = student.model.generate(
        input_ids=ids.to(student.device),
        attention_mask=mask.to(student.device),
        past_key_values=_cache(prefix, len(examples)),
        generation_config=GenerationConfig(
            max_new_tokens=room,
            do_sample=False,
            eos_token_id=renderer.end_id,
            pad_token_id=renderer.end_id,
        ),
        stopping_criteria=StoppingCriteriaList([_HeadingWritten(renderer)] if to_heading else []),
    )
    return [_up_to_end(renderer, row[longest:].tolist()) for row in output]


def _cache(prefix: Prefix, posts: int) -> DynamicCache:
    """The prefix' states once for each post, to be gone on from."""
    cache = DynamicCache()
    for index, (keys, values) in enumerate(prefix.states):
        cache.update(keys.expand(posts, -1, -1, -1), values.expand(posts, -1, -1, -1), index)
    return cache


def _up_to_end(renderer: Renderer, ids: list[int]) -> Written:
    """Cut the end token and what stands after it, which is padding."""
    return tuple(ids[: ids.index(renderer.end_id)] if renderer.end_id in ids else ids)
