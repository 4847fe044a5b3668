"""What a student writes of posts, greedily: a reason before it classifies, or its whole answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import torch

from training.continuation import Continuation, Fed, Prefix
from training.fitting import attempt
from training.memory import MemoryShortError
from training.prompt import CLASSIFICATION, Example, Form, Renderer, UnreadableAnswerError, parse_answer
from training.student import Student

_log = logging.getLogger(__name__)

Written = tuple[int, ...]
"""The token ids that a student wrote of a post, without the end token."""

_REASON_TOKENS = 192
"""The longest reason, in tokens; what is longer is cut and the classification asked for."""

_STILL_GOING = 7 / 8
"""Where no more than this share of the posts in a batch are not done, the others are let go."""

_HEADING_TOKENS = 16
"""How many of the last tokens are read to see whether the classification's heading was written."""

_PARTS = {"analysis": pa.string(), "harmful": pa.list_(pa.string()), "labels": pa.list_(pa.string())}


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
    while order:
        chosen, order = order[: student.written_at_once], order[student.written_at_once :]
        rooms = [reason_room(renderer, examples[index], max_length) + label_tokens for index in chosen]
        prompts = [examples[index] for index in chosen]
        found = _written_that_fit(student, renderer, prefix, prompts, rooms, not label_tokens)
        for index, answer in zip(chosen, found, strict=True):
            answers[index] = answer
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


def _written_that_fit(
    student: Student,
    renderer: Renderer,
    prefix: Prefix,
    examples: Sequence[Example],
    rooms: Sequence[int],
    to_heading: bool,
) -> list[Written]:
    """As `_written_by`; where memory runs out, in halves.

    Raises:
        MemoryShortError: a post does not fit into memory alone.
    """
    written = attempt(lambda: _written_by(student, renderer, prefix, examples, rooms, to_heading))
    if written is not None:
        return written
    if len(examples) == 1:
        raise MemoryShortError(f"the reason for a single post of {len(examples[0]):,} tokens")
    student.written_at_once = min(student.written_at_once, half := len(examples) // 2)
    _log.warning("the memory ran out; reasons of at most %d posts are written at once", half)
    return [
        answer
        for part in (slice(half), slice(half, None))
        for answer in _written_that_fit(student, renderer, prefix, examples[part], rooms[part], to_heading)
    ]


def _written_by(
    student: Student,
    renderer: Renderer,
    prefix: Prefix,
    examples: Sequence[Example],
    rooms: Sequence[int],
    to_heading: bool,
) -> list[Written]:
    """What is written of posts, a token of each at a time.

    Those that have come to their end go on unheard until there are enough of them to be let go,
    because that copies what was computed of the others.
    """
    written: list[list[int]] = [[] for _ in examples]
    tails = [example.post + example.suffix for example in examples]
    posts = Continuation(student, prefix, tails)
    here = list(range(len(examples)))
    going = {post for post in here if rooms[post] > 0}
    slots = torch.tensor([len(tail) for tail in tails])
    states = posts.last
    while going:
        tokens = student.logits(states).argmax(-1).cpu()
        for post, token in zip(here, tokens.tolist(), strict=True):
            if post not in going:
                continue
            if token != renderer.end_id:
                written[post].append(token)
            if token == renderer.end_id or _is_done(renderer, written[post], rooms[post], to_heading):
                going.remove(post)
        if len(going) <= len(here) * _STILL_GOING:
            kept = torch.tensor([row for row, post in enumerate(here) if post in going], dtype=torch.long)
            posts.keep(kept)
            here, tokens, slots = [here[row] for row in kept.tolist()], tokens[kept], slots[kept]
        if here:
            sees = torch.arange(int(slots.max()) + 1) <= slots[:, None]
            states = posts.go_on(Fed(torch.arange(len(here)), tokens, slots, slots, sees))
            slots = slots + 1
    return [tuple(answer) for answer in written]


def _is_done(renderer: Renderer, written: Sequence[int], room: int, to_heading: bool) -> bool:
    """Whether an answer fills its room, or has come to the heading of its classification."""
    if len(written) >= room:
        return True
    return to_heading and renderer.decode(written[-_HEADING_TOKENS:]).endswith(CLASSIFICATION)
